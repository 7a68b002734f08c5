"""Judge the memories that were written before the server judged new ones, by the rules alone and without the index.

It may be interrupted and started again at any time: what was replaced stays replaced, and is not read again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database
from app.memory.judgement.judgement import record_replacements
from app.memory.judgement.neighbours import Pair, Statement, load_statements_page
from app.memory.judgement.readings import WORD, Reading, read_statement
from app.memory.judgement.rules import Verdict, judge_readings

PAGE_SIZE = 1000
PAIRS_PER_TRANSACTION = 200
SELECT_PROJECT_IDS_SQL = text("""
select id from projects where cast(:project_id as uuid) is null or id = :project_id order by id
""")
SELECT_NAMESPACES_OF_USERS_SQL = text("""
select distinct namespace from memories
where project_id = :project_id and kind <> 'message' and role = 'user' order by namespace
""")
Report = Callable[[int, int], None]


@dataclass(slots=True)
class Consolidated:
    statements: int = 0
    replaced: int = 0


@dataclass(slots=True)
class Known:
    """The statements of a namespace that are true so far, and where to look for those that a new one may contradict."""

    merge_duplicates: bool = False
    by_key: dict[object, dict[UUID, Statement]] = field(default_factory=lambda: defaultdict(dict))
    readings: dict[UUID, Reading] = field(default_factory=dict)

    def replace(self, new: Statement, reading: Reading) -> list[Pair]:
        """The older statements that a new one replaces. It is known itself from now on."""
        near = {each.id: each for key in self._questions(new, reading) for each in self.by_key[key].values()}
        pairs = [
            Pair(new, old)
            for old in near.values()
            if old.told < new.told and self._replaces(new, reading, old, self.readings[old.id])
        ]
        for pair in pairs:
            for key in self._keys(pair.old, self.readings.pop(pair.old.id)):
                del self.by_key[key][pair.old.id]
        self.readings[new.id] = reading
        for key in self._keys(new, reading):
            self.by_key[key][new.id] = new
        return pairs

    def _replaces(self, new: Statement, reading: Reading, old: Statement, reading_of_old: Reading) -> bool:
        verdict = judge_readings(reading, reading_of_old)
        if verdict is Verdict.REPLACES or not self.merge_duplicates:
            return verdict is Verdict.REPLACES
        says_the_same = verdict is Verdict.SAME and reading.is_single and reading_of_old.is_single
        return says_the_same or _words(new) == _words(old)

    def _questions(self, statement: Statement, reading: Reading) -> list[object]:
        """Where the statements are that it may contradict or repeat."""
        claimed = [(statement.scope, key) for key in reading.claims]
        return [
            *claimed,
            *((statement.scope, denial.subject) for denial in reading.denials),
            *self._wording(statement),
        ]

    def _keys(self, statement: Statement, reading: Reading) -> list[object]:
        single = [(statement.scope, reading.subject)] if reading.is_single else []
        return [*((statement.scope, key) for key in reading.claims), *single, *self._wording(statement)]

    def _wording(self, statement: Statement) -> list[object]:
        return [(statement.scope, "words", _words(statement))] if self.merge_duplicates else []


def _words(statement: Statement) -> tuple[str, ...]:
    """Without case, punctuation and signs; a text of signs only is compared as it is."""
    return tuple(WORD.findall(statement.content.casefold())) or (statement.content,)


def find_replacements(statements: Iterable[Statement], *, merge_duplicates: bool = False) -> list[Pair]:
    known = Known(merge_duplicates)
    told = sorted(statements, key=lambda each: each.told)
    return [pair for each in told for pair in known.replace(each, read_statement(each.content))]


async def consolidate(
    database: Database,
    project_id: UUID | None,
    report: Report,
    *,
    dry_run: bool,
    merge_duplicates: bool = False,
) -> dict[UUID, Consolidated]:
    """Of one project or of all. The report counts namespaces.

    `merge_duplicates` also supersedes what a newer statement says again, in the same words or as the same claim."""
    async with database.system() as tx:
        projects = list(await tx.scalars(SELECT_PROJECT_IDS_SQL, {"project_id": project_id}))
    namespaces = [(each, name) for each in projects for name in await _namespaces(database, each)]
    counts: dict[UUID, Consolidated] = defaultdict(Consolidated)
    for number, (of_project, name) in enumerate(namespaces, 1):
        statements = await _load_all(database, of_project, name)
        pairs = find_replacements(statements, merge_duplicates=merge_duplicates)
        counts[of_project].statements += len(statements)
        counts[of_project].replaced += len(pairs) if dry_run else await _record(database, of_project, pairs)
        report(number, len(namespaces))
    return counts


async def _namespaces(database: Database, project_id: UUID) -> Sequence[str]:
    rows = await database.pipeline(project_id, None, (SELECT_NAMESPACES_OF_USERS_SQL, {"project_id": project_id}))
    return [row.namespace for row in rows]


async def _load_all(database: Database, project_id: UUID, namespace: str) -> list[Statement]:
    statements: list[Statement] = []
    while page := await load_statements_page(
        database, project_id, namespace, statements[-1].id if statements else UUID(int=0), PAGE_SIZE
    ):
        statements += page
    return statements


async def _record(database: Database, project_id: UUID, pairs: Sequence[Pair]) -> int:
    replaced = 0
    for start in range(0, len(pairs), PAIRS_PER_TRANSACTION):
        async with database.transaction(project_id) as tx:
            replaced += len(await record_replacements(tx, project_id, pairs[start : start + PAIRS_PER_TRANSACTION]))
    return replaced
