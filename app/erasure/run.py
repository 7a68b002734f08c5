"""Carry out an erasure: count what is there, remove it, and look again.

Every step can be repeated. A process that dies leaves the erasure to its job, which goes on with what is left. The
requests that run at the same time write nothing back: their rows refer to profiles, sessions, events and memories that
are locked and then gone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict
from app.core.resources import Resources
from app.erasure.account import delete_account
from app.erasure.models import WHOLE_NAMESPACES, Erasure, ErasureScope, ErasureState, SubjectKind
from app.erasure.repository import ErasureRepository, read_scope
from app.erasure.stores import (
    ACCOUNTS,
    AFTER_MEMORIES,
    BATCH_SIZE,
    BEFORE_MEMORIES,
    COUNT_ALL_SQL,
    JOBS,
    MEMORIES,
    PROFILES,
    SHORT_TERM,
    VACUUMED_TABLES,
    VECTORS,
    ErasedTable,
    parameters,
)
from app.memory.forget import remove_from_index
from app.memory.ledger import DeletedMemories, MemoryRepository, lock_chains, lock_linked
from app.memory.ledger.repository import DELETE_MEMORIES_SQL
from app.profiles.repository import LOCK_PROFILES_OF_USER_SQL
from app.sessions.window import WindowStore, window_store

STATEMENT_TIMEOUT = "120s"
MAX_PASSES = 5
MEMORIES_AT_ONCE = 1000
INDEX_SECONDS = 30.0
ERASE_JOBS_SQL = text("""
select private.erase_jobs(:namespaces, cast(cast(:session_ids as uuid[]) as text[]),
  cast(cast(:event_ids as uuid[]) as text[]), :remove)
""")
# A summary goes with the first of its episodes, so that those that are not erased are current again.
SELECT_DOOMED_MEMORIES_SQL = text(f"""
with doomed as (
  select x.id, x.namespace from memories x
  where x.project_id = :project_id and ({MEMORIES.where})
  order by x.kind = 'summary', x.created_at desc, x.id desc limit {MEMORIES_AT_ONCE}
)
select id, namespace from doomed
union select id, namespace from private.summaries_of(:project_id, array(select id from doomed))
""")  # noqa: S608  # only our own conditions are put together
# What exists again after everything was erased was imported or written by later requests.
SELECT_RETURNED_SQL = text("""
select array(select m.id from memories m where m.project_id = :project_id and m.id = any(:memory_ids)) as memory_ids,
  array(select s.id from sessions s where s.project_id = :project_id and s.id = any(:session_ids)) as session_ids,
  array(select p.project_id || ':' || p.id from profiles p
    where p.project_id = :project_id and p.project_id || ':' || p.id = any(:namespaces)) as namespaces
""")
CHOOSE_DEFAULT_PROFILE_SQL = text("""
update profiles set is_default = true
where project_id = :project_id and id = (select p.id from profiles p
    where p.project_id = :project_id and p.user_id = :owner_id order by p.created_at, p.id limit 1)
  and not exists (select from profiles p
    where p.project_id = :project_id and p.user_id = :owner_id and p.is_default)
""")


async def run_erasure(resources: Resources, project_id: UUID, erasure_id: UUID) -> bool:
    """Returns False if another process works on it."""
    async with resources.database.transaction(project_id) as tx:
        erasure = await ErasureRepository(tx, project_id).claim(erasure_id)
    if erasure is None:
        return False
    try:
        if erasure.state == ErasureState.RUNNING:
            await ErasureRun(resources, erasure).erase()
    finally:
        async with resources.database.transaction(project_id) as tx:
            await ErasureRepository(tx, project_id).release(erasure_id)
    return True


async def settle_erasure(resources: Resources, project_id: UUID, erasure_id: UUID) -> None:
    """Look again once every request that ran at the same time has ended."""
    async with resources.database.transaction(project_id) as tx:
        erasure = await ErasureRepository(tx, project_id).claim(erasure_id)
    if erasure is not None:
        await ErasureRun(resources, erasure).settle()


async def vacuum_after_erasure(resources: Resources, project_id: UUID, erasure_id: UUID) -> None:
    """Postgres and the index keep what is deleted in their files until they tidy up."""
    await resources.index.run_housekeeping()
    await resources.database.vacuum(VACUUMED_TABLES)
    async with resources.database.transaction(project_id) as tx:
        await ErasureRepository(tx, project_id).set_vacuumed(erasure_id)


@dataclass
class ErasureRun:
    resources: Resources
    erasure: Erasure
    scope: ErasureScope = field(init=False)

    def __post_init__(self) -> None:
        self.scope = read_scope(self.erasure)
        self._project_id = self.erasure.project_id

    async def erase(self) -> None:
        if not self.erasure.found:
            found = await self._count_all() | ({ACCOUNTS: 1} if self.scope.closes_account else {})
            async with self._transaction() as tx:
                await ErasureRepository(tx, self._project_id).set_found(self.erasure.id, found)
            self.erasure.found = found
        remaining = await self._erase_everything()
        if self.scope.closes_account and self.scope.account_id is not None:
            remaining[ACCOUNTS] = await self._close_account(self.scope.account_id)
        async with self._transaction() as tx:
            await ErasureRepository(tx, self._project_id).finish(self.erasure.id, self.scope, remaining)

    async def _close_account(self, account_id: UUID) -> int:
        """Returns how many accounts are left. After a crash, it may be gone already."""
        await self.resources.erase_account(account_id)
        if await delete_account(self.resources.identity, account_id):
            async with self._transaction() as tx:
                await self._count_removed(tx, {ACCOUNTS: 1})
        return 0

    async def settle(self) -> None:
        """Requests that ran at the same time may have left jobs, events, vectors and windows of what is gone."""
        async with self._transaction() as tx:
            returned = (await tx.execute(SELECT_RETURNED_SQL, self._values())).mappings().one()
        self.scope = self.scope.without(**returned)
        await self._erase_everything()
        async with self._transaction() as tx:
            await ErasureRepository(tx, self._project_id).settle(self.erasure.id)

    async def _erase_everything(self) -> dict[str, int]:
        """Returns what is left of each store: nothing, or this raises an error and the job tries again."""
        for _ in range(MAX_PASSES):
            while await self._erase_rows() >= BATCH_SIZE:
                pass
            await self._erase_windows()
            await self._erase_vectors()
            remaining = await self._count_all()
            if not any(remaining.values()):
                return remaining
        raise Conflict("Data of this subject kept arriving while it was erased. The erasure goes on.")

    async def _count_all(self) -> dict[str, int]:
        async with self._transaction() as tx:
            counts = dict((await tx.execute(COUNT_ALL_SQL, self._values())).mappings().one())
            counts[JOBS] = await tx.scalar(ERASE_JOBS_SQL, self._values(remove=False)) or 0
        vectors, windows = await self._find_vectors(), await self._windows().count_kept(*self.scope.session_ids)
        return {**counts, VECTORS: len(vectors), SHORT_TERM: windows}

    # ------------------------------------------------------------ rows

    async def _erase_rows(self) -> int:
        """At most one batch of each table, and all memories."""
        async with self._transaction() as tx:
            removed = {JOBS: await tx.scalar(ERASE_JOBS_SQL, self._values(remove=True)) or 0}
            removed |= await self._empty(tx, BEFORE_MEMORIES)
            await self._count_removed(tx, removed)
        while await self._erase_some_memories():
            pass
        async with self._transaction() as tx:
            await self._lock_profiles(tx)
            last = await self._empty(tx, (*AFTER_MEMORIES, PROFILES))
            if last[PROFILES.name] and self.scope.user_id is None:
                await tx.execute(CHOOSE_DEFAULT_PROFILE_SQL, self._values())
            await self._count_removed(tx, last)
        return max(*removed.values(), *last.values())

    async def _empty(self, tx: AsyncSession, tables: Sequence[ErasedTable]) -> dict[str, int]:
        return {table.name: await tx.scalar(table.remove_sql, self._values()) or 0 for table in tables}

    async def _erase_some_memories(self) -> int:
        async with self._transaction() as tx:
            rows = (await tx.execute(SELECT_DOOMED_MEMORIES_SQL, self._values())).all()
            deleted = await self._delete_memories(tx, [row.id for row in rows])
            await self._count_removed(tx, {MEMORIES.name: len(deleted.ids)})
        known = set(self.scope.memory_ids)
        self.scope.memory_ids += [each for each in deleted.ids if each not in known]
        await remove_from_index(self.resources, self._project_id, {row.id: row.namespace for row in rows}, deleted)
        return len(rows)

    async def _delete_memories(self, tx: AsyncSession, ids: Sequence[UUID]) -> DeletedMemories:
        """If whole namespaces are erased, no memory is left that could repeat another one in its context."""
        if SubjectKind(self.erasure.kind) not in WHOLE_NAMESPACES:
            return await MemoryRepository(tx, self._project_id).delete_all(ids)
        await lock_chains(tx, self._project_id, ids)
        await lock_linked(tx, self._project_id, ids)
        values = {"project_id": self._project_id, "ids": list(ids)}
        return DeletedMemories(list(await tx.scalars(DELETE_MEMORIES_SQL, values)), [])

    async def _lock_profiles(self, tx: AsyncSession) -> None:
        """The oldest of the other profiles may become the default."""
        if self.scope.owner_id is not None:
            owner = f"{self._project_id}:{self.scope.owner_id}"
            await tx.execute(LOCK_PROFILES_OF_USER_SQL, {"owner": owner})

    # ------------------------------------------------------------ everything else

    async def _erase_windows(self) -> None:
        if self.scope.session_ids:
            count = await self._windows().erase(*self.scope.session_ids)
            async with self._transaction() as tx:
                await self._count_removed(tx, {SHORT_TERM: count})

    async def _erase_vectors(self) -> None:
        """The index queue has the removals already. A change that was queued before would bring a vector back."""
        if not self.scope.memory_ids:
            return
        await self.resources.index_queue.wait_until_indexed(self._project_id, None, seconds=INDEX_SECONDS)
        remaining = await self._find_vectors()
        await self.resources.index.remove(remaining)
        unaccounted = self.erasure.found.get(VECTORS, 0) - self.erasure.removed.get(VECTORS, 0)
        self.erasure.removed = {**self.erasure.removed, VECTORS: self.erasure.found.get(VECTORS, 0)}
        async with self._transaction() as tx:
            await self._count_removed(tx, {VECTORS: max(unaccounted, len(remaining))})

    async def _find_vectors(self) -> list[UUID]:
        found: set[UUID] = set()
        for batch in _batches(self.scope.memory_ids):
            found |= await self.resources.index.find_existing(batch)
        return list(found)

    def _windows(self) -> WindowStore:
        return window_store(self.resources, self._project_id)

    async def _count_removed(self, tx: AsyncSession, counts: Mapping[str, int]) -> None:
        await ErasureRepository(tx, self._project_id).count_removed(self.erasure.id, counts)

    def _transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self.resources.database.transaction(self._project_id, statement_timeout=STATEMENT_TIMEOUT)

    def _values(self, **more: object) -> dict[str, object]:
        return parameters(self.scope, project_id=self._project_id, **more)


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), MEMORIES_AT_ONCE):
        yield ids[start : start + MEMORIES_AT_ONCE]
