"""The indexer: takes committed changes from the ledger to the index, in batches and in order.

A row is acknowledged once it is committed. The next search of its namespace waits until the row is indexed, so that
it finds what was added, while many small additions share the cost of embedding. What a crash leaves is swept up.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.background_tasks import SupervisedTask
from app.core.database.database import Database
from app.core.errors import AppError, TooLarge, Unprocessable, UpstreamFailed
from app.core.observability.metrics import INDEX_WAITS_ENDED
from app.core.ports import Embedder, EmbedderChoice, IndexChange, IndexEntry, IndexRemoval, IndexUpsert, VectorIndex
from app.memory.embedders import EmbedderChoices, embed_with, serving_choice
from app.memory.indexing.batch import BatchLimit
from app.memory.indexing.changes import upsert_for_row
from app.memory.indexing.indexed_text import embedding_text, keyword_text
from app.memory.indexing.other_processes import OtherProcesses
from app.memory.indexing.queue import ChangeQueue
from app.memory.judgement import Judgement
from app.memory.ledger import LedgerRepository, Memory

log = structlog.get_logger()
BATCH = BatchLimit(changes=32, tokens=1024)
"""Less than a tenth of a second of work: a search that arrives during a batch may wait for it."""
MAX_WAITING = BatchLimit(changes=4096, tokens=256 * 1024)
"""How much of one project may wait before its writers are slowed down."""
MAX_BATCH_SECONDS = 100.0
"""A batch that takes longer is given up, so that the next one is tried."""
IDLE_SECONDS = 5.0
SILENT_AFTER_SECONDS = 120.0
# A process that did not know yet that the project changes its embedder has written to too few indexes.
MARK_INDEXED_SQL = text("""
with locked as (select id from memories where id = any(cast(:ids as uuid[])) order by id for update)
update memories set state = 'indexed'
from unnest(cast(:ids as uuid[]), cast(:versions as timestamptz[]), cast(:embedders as uuid[]))
  as done (id, version, embedder)
where memories.id = done.id and memories.id = any(array(select id from locked))
  and memories.updated_at = done.version and archived_at is null
  and done.embedder is not distinct from (
    select choice.version from project_embedders choice where choice.project_id = memories.project_id)
returning memories.id
""")
DELETE_VECTOR_REMOVALS_SQL = text("delete from vector_removals where memory_id = any(:ids)")
# An archived memory that was restored while its removal was on the way has to be indexed again, and so has one that got
# the id of a deleted memory by an import, which may have been made into another project.
MARK_RESTORED_SQL = text("""
with locked as (select id from memories where id = any(:ids) and archived_at is null order by id for update)
update memories set state = 'pending' where id = any(array(select id from locked)) and archived_at is null
returning id, project_id
""")


class Indexer:
    """One queue and one worker in each process. The worker has two loops: one for all changes, and one for those that a
    search waits for, so that a search does not wait for a batch of another project.

    The ledger decides which version counts: where two changes of one memory overtook each other, in this process or
    between processes, the indexer loads the latest version and indexes that.
    """

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        index: VectorIndex,
        *,
        choices: EmbedderChoices | None = None,
        idle_seconds: float = IDLE_SECONDS,
        batch_seconds: float = MAX_BATCH_SECONDS,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._index = index
        self._choices = choices
        self._judgement = Judgement(database, index)
        self._idle_seconds = idle_seconds
        self._batch_seconds = batch_seconds
        self._queue = ChangeQueue()
        self._other_processes = OtherProcesses(database, self._take_over)
        self.worker = SupervisedTask("indexer", self._work, silent_after_seconds=SILENT_AFTER_SECONDS)

    def start(self) -> None:
        self.worker.start()

    async def put(self, changes: Sequence[IndexChange], *, from_chat: bool = False) -> None:
        """Waits while the queue is too long, which slows the writer down. A cancelled caller loses no change."""
        self._queue.put(changes, from_chat=from_chat)
        for project_id in {change.project_id for change in changes}:
            await self._queue.wait_for_room(project_id, MAX_WAITING)

    async def wait_until_indexed(
        self,
        project_id: UUID,
        namespaces: Sequence[str] | None,
        *,
        include_chat: bool = True,
        seconds: float | None = None,
    ) -> bool:
        start = time.monotonic()
        done = await self._queue.wait_until_done(project_id, namespaces, include_chat=include_chat, seconds=seconds)
        if done and self._index.shared:
            done = await self._other_processes.wait_until_indexed(
                project_id,
                namespaces,
                include_chat=include_chat,
                is_own=self.__contains__,
                seconds=None if seconds is None else max(0.0, start + seconds - time.monotonic()),
            )
        if not done:
            INDEX_WAITS_ENDED.inc()
        return done

    async def _take_over(self, project_id: UUID, ids: Sequence[UUID]) -> None:
        """Indexing a memory twice has the effect of once."""
        changes = await load_upserts(self._database, project_id, ids)
        self._queue.put([each for each in changes if each.id not in self], from_chat=False)

    def count_waiting(self, project_id: UUID) -> int:
        return self._queue.count_waiting(project_id)

    def __contains__(self, memory_id: UUID) -> bool:
        return memory_id in self._queue

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.wait_until_empty(), timeout=10)
        await self.worker.stop()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._index_all())
            loops.create_task(self._index_searched())

    async def _index_all(self) -> None:
        while True:
            batch = await self._queue.take_batch(BATCH, self._idle_seconds)
            await self._index_batch(batch)
            self.worker.beat()

    async def _index_searched(self) -> None:
        """A search does not wait for a long batch of another namespace."""
        while True:
            await self._index_batch(await self._queue.take_searched_batch(BATCH))

    async def _index_batch(self, batch: Sequence[IndexChange] | None) -> None:
        """None: nothing arrived for a while."""
        try:
            async with asyncio.timeout(self._batch_seconds):
                await (self._index.run_housekeeping() if batch is None else self._apply_in_parts(batch))
        except (AppError, OSError, SQLAlchemyError) as error:
            self._give_up(batch or (), error)
        finally:
            await self._queue.mark_done(batch or ())

    def _give_up(self, batch: Sequence[IndexChange], error: Exception) -> None:
        """The rows stay pending in the ledger, and the sweep indexes them later."""
        log.warning("memory.indexing_failed", count=len(batch), exc_info=error)
        if self._index.shared:
            self._other_processes.give_up([change.id for change in batch])

    async def _apply_in_parts(self, batch: Sequence[IndexChange]) -> None:
        """A text that the embedding model refuses fails neither the other texts of its batch nor other projects."""
        try:
            await self._apply(batch)
        except (Unprocessable, TooLarge, UpstreamFailed) as error:
            if error.is_outage:
                raise
            if len(batch) == 1:
                self._give_up(batch, error)
                return
            middle = len(batch) // 2
            await self._apply_in_parts(batch[:middle])
            await self._apply_in_parts(batch[middle:])

    async def _apply(self, batch: Sequence[IndexChange]) -> None:
        changes = latest_changes(batch)
        upserts = [change for change in changes if isinstance(change, IndexUpsert)]
        removed = [change for change in changes if isinstance(change, IndexRemoval)]
        embedders = self._embedder_versions(upserts)
        if upserts:
            entries = await build_entries(self._embedder, upserts)
            await self._index.upsert(entries)
            await self._judgement.judge_indexed(upserts, [each.vector for each in entries])
        await self._index.remove([change.id for change in removed])
        outdated = await self._record(upserts, removed, embedders)
        if outdated:
            if self._choices is not None:
                await self._choices.refresh()
            await self._apply(await self._load_current(outdated))

    def _embedder_versions(self, upserts: Sequence[IndexUpsert]) -> dict[UUID, UUID | None]:
        """What this process knows of the embedders of these projects before it writes."""
        projects = {each.project_id for each in upserts}
        return {each: self._choices.known(each).version if self._choices else None for each in projects}

    async def _record(
        self,
        upserts: Sequence[IndexUpsert],
        removed: Sequence[IndexRemoval],
        embedders: Mapping[UUID, UUID | None],
    ) -> list[IndexChange]:
        """Record in the ledger what was indexed, and return the changes whose memory has changed since."""
        # No statement has to survive a power cut: the sweep would repeat the work.
        outdated: list[IndexChange] = []
        if removed:
            ids = {"ids": [change.id for change in removed]}
            statements = (DELETE_VECTOR_REMOVALS_SQL, ids), (MARK_RESTORED_SQL, ids)
            restored = {row.id: row.project_id for row in await self._database.system_pipeline_unsynced(*statements)}
            outdated += [replace(change, project_id=restored[change.id]) for change in removed if change.id in restored]
        if not upserts:
            return outdated
        done: dict[str, object] = {
            "ids": [change.id for change in upserts],
            "versions": [change.version for change in upserts],
            "embedders": [embedders[change.project_id] for change in upserts],
        }
        marked = {row.id for row in await self._database.system_pipeline_unsynced((MARK_INDEXED_SQL, done))}
        return [*outdated, *(change for change in upserts if change.id not in marked)]

    async def _load_current(self, outdated: Sequence[IndexChange]) -> list[IndexChange]:
        """The current version of each memory, or its removal if the row is gone or archived."""
        current: list[IndexChange] = []
        for project_id in {change.project_id for change in outdated}:
            ids = [change.id for change in outdated if change.project_id == project_id]
            current += await load_upserts(self._database, project_id, ids)
        existing = {change.id for change in current}
        gone = [change for change in outdated if change.id not in existing]
        return [*current, *(IndexRemoval(change.id, change.project_id, change.namespace) for change in gone)]


def latest_changes(batch: Sequence[IndexChange]) -> list[IndexChange]:
    """The version of each memory that was committed last; a removal is final."""
    latest: dict[UUID, IndexChange] = {}
    for change in batch:
        known = latest.get(change.id)
        newer = isinstance(change, IndexRemoval) or (isinstance(known, IndexUpsert) and known.version <= change.version)
        if known is None or newer:
            latest[change.id] = change
    return list(latest.values())


async def load_upserts(database: Database, project_id: UUID, ids: Sequence[UUID]) -> list[IndexUpsert]:
    """The memories as they are in the ledger now, without archived ones, which are not in the index."""
    async with database.transaction(project_id) as tx:
        memories = await LedgerRepository(tx, project_id).find_all(ids, Memory.archived_at.is_(None))
    return [upsert_for_row(memory) for memory in memories]


async def build_entries(embedder: Embedder, upserts: Sequence[IndexUpsert]) -> list[IndexEntry]:
    """Embeds together what the same model embeds."""
    groups: dict[EmbedderChoice, list[IndexUpsert]] = defaultdict(list)
    for each in upserts:
        groups[await serving_choice(embedder, each.project_id)].append(each)
    entries = {each.id: each for choice, group in groups.items() for each in await _build(embedder, choice, group)}
    return [entries[each.id] for each in upserts]


async def _build(embedder: Embedder, choice: EmbedderChoice, upserts: Sequence[IndexUpsert]) -> list[IndexEntry]:
    projects = {each.project_id for each in upserts}
    tenant = projects.pop() if len(projects) == 1 else None
    texts = [embedding_text(each.content) for each in upserts]
    vectors = await embed_with(embedder, choice, texts, tenant)
    keywords = [keyword_text(each.content, each.context, each.created_at) for each in upserts]
    return [
        IndexEntry(each.id, each.project_id, each.namespace, vector, words, meaning)
        for each, vector, words, meaning in zip(upserts, vectors, keywords, texts, strict=True)
    ]
