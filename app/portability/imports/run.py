"""Run an import: parse the values of a source, write them in batches, and report the lines that were left out.

An import can be repeated: rows that exist already stay unchanged, so running an interrupted one again completes it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.portability.exports.read_rows import STATEMENT_TIMEOUT, DataScope
from app.portability.imports.parse import ImportRow, UnsupportedVersion, ValueParser
from app.portability.imports.read_source import SourceValue, split_values
from app.portability.imports.write_rows import Added, BatchWriter, WrittenBatch
from app.projects.embedder import choose_embedder

BATCH_SIZE = 200
MAX_PROBLEMS = 1000
"""The lines that a result names. All are counted."""
PART_BYTES = 1 << 20
REFUSED_VALUES = ("22", "23")
"""The classes of Postgres' errors about the values of a row."""


@dataclass(frozen=True, slots=True)
class LineProblem:
    line: int
    detail: str


@dataclass
class ImportResult:
    """The numbers of rows by type."""

    added: Counter[str] = field(default_factory=Counter)
    already_there: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    problems: list[LineProblem] = field(default_factory=list)
    problem_count: int = 0
    next_line: int | None = None
    """The first line that was not read, if the import stopped before the end."""
    was_cut_off: bool = False

    def report(self, line: int, detail: str) -> None:
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(LineProblem(line, detail))


@dataclass
class Import:
    database: Database
    scope: DataScope
    parser: ValueParser
    on_added: Callable[[Sequence[Added]], Awaitable[None]] | None = None
    """Is told of new memories once they are committed."""
    may_continue: Callable[[], bool] = lambda: True
    max_document_bytes: int | None = None
    chooses_embedder: bool = False
    """Whether the importer may change the embedder of the project to that of the export."""
    result: ImportResult = field(default_factory=ImportResult)

    async def run(self, parts: AsyncIterator[bytes]) -> ImportResult:
        batch: list[ImportRow] = []
        async for value in split_values(parts, self.max_document_bytes):
            if self.result.next_line is not None:
                continue  # the rest of a request is received, so that the client reads the answer
            batch += self._parse(value)
            while len(batch) >= BATCH_SIZE:
                await self._write(batch[:BATCH_SIZE])
                batch = batch[BATCH_SIZE:]
                if not self.may_continue():
                    self.result.next_line = value.number
                    batch = []
        await self._write(batch)
        await self._choose_embedder()
        self.result.skipped.update(self.parser.skipped)
        self.result.was_cut_off = self.parser.was_cut_off and self.result.next_line is None
        return self.result

    async def _choose_embedder(self) -> None:
        chosen = self.parser.embedder
        if chosen is None or not self.chooses_embedder or self.result.next_line is not None:
            return
        try:
            async with self.database.system() as tx:
                await choose_embedder(tx, self.scope.project_id, chosen)
        except BadRequest as error:
            self.result.report(1, error.detail)

    def _parse(self, value: SourceValue) -> list[ImportRow]:
        if value.problem:
            self.result.report(value.number, f"Line {value.number} of the file {value.problem}")
            return []
        try:
            return self.parser.parse(value.number, value.value)
        except UnsupportedVersion:
            raise
        except BadRequest as error:
            self.result.report(value.number, error.detail)
            return []

    async def _write(self, rows: Sequence[ImportRow]) -> None:
        if not rows:
            return
        try:
            await self._keep(await self._write_together(rows))
        except DBAPIError as error:
            if str(getattr(error.orig, "sqlstate", ""))[:2] not in REFUSED_VALUES:
                raise
            if len(rows) == 1:
                self.result.report(rows[0].number, f"Line {rows[0].number} of the file cannot be stored.")
            else:
                for row in rows:  # one row of the batch cannot be stored, and the others can
                    await self._write([row])

    async def _write_together(self, rows: Sequence[ImportRow]) -> WrittenBatch:
        """Projects take turns, so that the import of one leaves the others their share of Postgres."""
        scope = self.scope
        async with (
            self.database.costly_turn(scope.project_id),
            self.database.transaction(scope.project_id, scope.user_id, statement_timeout=STATEMENT_TIMEOUT) as tx,
        ):
            return await BatchWriter(tx, scope).write(rows)

    async def _keep(self, written: WrittenBatch) -> None:
        self.result.added.update(written.added)
        self.result.already_there.update(written.already_there)
        for number, detail in sorted(written.problems):
            self.result.report(number, detail)
        if self.on_added and written.memories:
            await self.on_added(written.memories)
        await asyncio.sleep(0)


async def import_file(
    database: Database,
    scope: DataScope,
    source: Path,
    report: Callable[[int, int], None],
    *,
    default_user: str | None = None,
) -> ImportResult:
    try:
        size = (await asyncio.to_thread(source.stat)).st_size
        parser = ValueParser(default_user=default_user, only_user=scope.user_id)
        whole = scope.user_id is None
        return await Import(database, scope, parser, chooses_embedder=whole).run(_read_parts(source, size, report))
    except OSError as error:
        raise BadRequest(f"{source} cannot be read ({error.strerror}).") from None


async def _read_parts(source: Path, size: int, report: Callable[[int, int], None]) -> AsyncIterator[bytes]:
    done = 0
    with source.open("rb") as file:
        while part := await asyncio.to_thread(file.read, PART_BYTES):
            yield part
            done += len(part)
            report(done, max(done, size))
