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

from app.core.database import Database
from app.core.errors import AppError
from app.core.ports import Change, Embedder, IndexEntry, ToIndex, ToRemove, VectorIndex
from app.memory.context import embedding_text, keyword_text

log = structlog.get_logger()
BATCH = 64
MOST_WAITING = 4096
MARK = text("""
update memories set state = 'indexed'
from unnest(cast(:ids as uuid[]), cast(:versions as timestamptz[])) as done (id, version)
where memories.id = done.id and memories.updated_at = done.version
""")
REMOVED = text("delete from vector_removals where memory_id = any(:ids)")


class Indexer:
    """One queue and one worker in each process: changes of a memory reach the index in the order they were made."""

    def __init__(self, database: Database, embedder: Embedder, index: VectorIndex) -> None:
        self._database = database
        self._embedder = embedder
        self._index = index
        self._queue: asyncio.Queue[Change] = asyncio.Queue(MOST_WAITING)
        self._waiting: dict[UUID, dict[str, int]] = {}
        self._moved = asyncio.Condition()
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._worker = asyncio.create_task(self._work())

    async def put(self, changes: Sequence[Change]) -> None:
        """Waits while too much is waiting already: the faster side slows down, nothing is dropped."""
        for change in changes:
            spaces = self._waiting.setdefault(change.project_id, {})
            spaces[change.namespace] = spaces.get(change.namespace, 0) + 1
            await self._queue.put(change)

    async def settled(self, project_id: UUID, namespaces: Sequence[str] | None) -> None:
        """Returns when nothing that was put before is still on its way for these namespaces."""
        if not self._behind(project_id, namespaces):
            return
        async with self._moved:
            await self._moved.wait_for(lambda: not self._behind(project_id, namespaces))

    def waiting(self) -> int:
        return self._queue.qsize()

    async def close(self) -> None:
        if self._worker is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), timeout=10)
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker

    def _behind(self, project_id: UUID, namespaces: Sequence[str] | None) -> bool:
        spaces = self._waiting.get(project_id)
        if not spaces:
            return False
        return namespaces is None or any(namespace in spaces for namespace in namespaces)

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._apply(batch)
            except (AppError, OSError, SQLAlchemyError) as error:
                # The rows stay pending in the ledger: the sweep comes back to them.
                log.warning("memory.indexing_failed", count=len(batch), exc_info=error)
            finally:
                await self._done(batch)

    async def _apply(self, batch: Sequence[Change]) -> None:
        """The last change of each memory is the one that counts."""
        last = {change.id: change for change in batch}
        fresh = [change for change in last.values() if isinstance(change, ToIndex)]
        gone = [change.id for change in last.values() if isinstance(change, ToRemove)]
        await index_all(self._embedder, self._index, fresh)
        await self._index.remove(gone)
        async with self._database.system() as tx:
            if fresh:
                versions = [change.version for change in fresh]
                await tx.execute(MARK, {"ids": [change.id for change in fresh], "versions": versions})
            if gone:
                await tx.execute(REMOVED, {"ids": gone})

    async def _done(self, batch: Sequence[Change]) -> None:
        for change in batch:
            spaces = self._waiting[change.project_id]
            spaces[change.namespace] -= 1
            if not spaces[change.namespace]:
                del spaces[change.namespace]
            if not spaces:
                del self._waiting[change.project_id]
            self._queue.task_done()
        async with self._moved:
            self._moved.notify_all()


async def index_all(embedder: Embedder, index: VectorIndex, fresh: Sequence[ToIndex]) -> None:
    if fresh:
        await index.upsert(await as_entries(embedder, fresh))


async def as_entries(embedder: Embedder, fresh: Sequence[ToIndex]) -> list[IndexEntry]:
    texts = [embedding_text(each.content, each.context, each.said_at) for each in fresh]
    vectors = await embedder.embed(texts)
    return [
        IndexEntry(each.id, each.project_id, each.namespace, vector, keyword_text(each.content, each.context, each.said_at))
        for each, vector in zip(fresh, vectors, strict=True)
    ]
