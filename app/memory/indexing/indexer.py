"""From the ledger into the index, after the commit: embedded in batches, in order, and swept up after a crash.

A row is acknowledged once it is committed. Whoever searches the namespace next waits until its new rows are indexed,
so what was added is found, while many small adds share the cost of embedding.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.background_tasks import stop
from app.core.database.database import Database
from app.core.errors import AppError
from app.core.ports import Change, Embedder, IndexEntry, ToIndex, ToRemove, VectorIndex
from app.memory.indexing.indexed_text import embedding_text, keyword_text
from app.memory.indexing.queue import Backlog
from app.memory.ledger.repository import MemoryRepository

log = structlog.get_logger()
BATCH = 32
MOST_WAITING = 4096
SETTLE_SECONDS = 5.0
MARK = text("""
update memories set state = 'indexed'
from unnest(cast(:ids as uuid[]), cast(:versions as timestamptz[])) as done (id, version)
where memories.id = done.id and memories.updated_at = done.version
returning memories.id
""")
REMOVED = text("delete from vector_removals where memory_id = any(:ids)")


class Indexer:
    """One queue and one worker in each process. Between processes, and where two changes of one memory overtook each
    other on the way here, the ledger decides: whatever is not its latest version any more is looked up again."""

    def __init__(
        self, database: Database, embedder: Embedder, index: VectorIndex, *, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._index = index
        self._settle_seconds = settle_seconds
        self._backlog = Backlog()
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._worker = asyncio.create_task(self._work())
        self._worker.add_done_callback(self._start_again)

    async def put(self, changes: Sequence[Change], *, said: bool = False) -> None:
        """Then waits while too much is waiting: the faster side slows down. Whoever leaves meanwhile loses nothing."""
        self._backlog.put(changes, said=said)
        await self._backlog.shrunk(MOST_WAITING)

    async def settled(self, project_id: UUID, namespaces: Sequence[str] | None, *, said: bool = True) -> None:
        await self._backlog.settled(project_id, namespaces, said=said)

    def waiting(self) -> int:
        return len(self._backlog)

    async def close(self) -> None:
        if self._worker is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._backlog.empty(), timeout=10)
        await stop(self._worker)

    def _start_again(self, ended: asyncio.Task[None]) -> None:
        """Whatever ended it, searches wait for this worker. What it dropped is still pending in the ledger."""
        if not ended.cancelled() and (error := ended.exception()):
            log.error("memory.indexer_ended", exc_info=error)
            self.start()

    async def _work(self) -> None:
        while True:
            batch = await self._backlog.take(BATCH, self._settle_seconds)
            try:
                await (self._apply(batch) if batch else self._index.settle())
            except (AppError, OSError, SQLAlchemyError) as error:
                # The rows stay pending in the ledger: the sweep comes back to them.
                log.warning("memory.indexing_failed", count=len(batch), exc_info=error)
            finally:
                await self._backlog.done(batch)

    async def _apply(self, batch: Sequence[Change]) -> None:
        last = latest(batch)
        fresh = [change for change in last if isinstance(change, ToIndex)]
        gone = [change.id for change in last if isinstance(change, ToRemove)]
        await index_all(self._embedder, self._index, fresh)
        await self._index.remove(gone)
        overtaken = await self._note(fresh, gone)
        if overtaken:
            await self._catch_up(overtaken)

    async def _note(self, fresh: Sequence[ToIndex], gone: Sequence[UUID]) -> list[ToIndex]:
        """Tells the ledger, and returns what is no longer as it was indexed."""
        # Neither needs to outlive a power cut: the sweep would do it again.
        if gone:
            await self._database.system_at_once((REMOVED, {"ids": list(gone)}))
        if not fresh:
            return []
        done = {"ids": [change.id for change in fresh], "versions": [change.version for change in fresh]}
        marked = {row.id for row in await self._database.system_at_once((MARK, done))}
        return [change for change in fresh if change.id not in marked]

    async def _catch_up(self, overtaken: Sequence[ToIndex]) -> None:
        now: list[Change] = []
        for project_id in {change.project_id for change in overtaken}:
            ids = [change.id for change in overtaken if change.project_id == project_id]
            now += await load_versions(self._database, project_id, ids)
        there = {change.id for change in now}
        now += [ToRemove(each.id, each.project_id, each.namespace) for each in overtaken if each.id not in there]
        await self._apply(now)


def latest(batch: Sequence[Change]) -> list[Change]:
    """Of each memory the version that was committed last; what is removed stays removed."""
    last: dict[UUID, Change] = {}
    for change in batch:
        known = last.get(change.id)
        newer = isinstance(change, ToRemove) or (isinstance(known, ToIndex) and known.version <= change.version)
        if known is None or newer:
            last[change.id] = change
    return list(last.values())


async def load_versions(database: Database, project_id: UUID, ids: Sequence[UUID]) -> list[ToIndex]:
    """As they are now."""
    async with database.transaction(project_id) as tx:
        memories = await MemoryRepository(tx, project_id).many(ids)
    return [
        ToIndex(each.id, project_id, each.namespace, each.content, each.context, each.created_at, each.updated_at)
        for each in memories
    ]


async def index_all(embedder: Embedder, index: VectorIndex, fresh: Sequence[ToIndex]) -> None:
    if fresh:
        await index.upsert(await as_entries(embedder, fresh))


async def as_entries(embedder: Embedder, fresh: Sequence[ToIndex]) -> list[IndexEntry]:
    texts = [embedding_text(each.content, each.context, each.said_at) for each in fresh]
    vectors = await embedder.embed(texts)
    words_of_all = [keyword_text(each.content, each.context, each.said_at) for each in fresh]
    return [
        IndexEntry(each.id, each.project_id, each.namespace, vector, words)
        for each, vector, words in zip(fresh, vectors, words_of_all, strict=True)
    ]
