"""Keeps the index complete: repairs it at the start, and fills it up after the disk was full."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import text

from app.core.background_tasks import SupervisedTask
from app.core.errors import Unavailable
from app.core.observability.metrics import INDEX_REPAIRING
from app.core.resources import Resources
from app.memory.indexing.inspect import IndexCondition, inspect_index
from app.memory.indexing.moved_index import complete_move
from app.memory.indexing.rebuild import REBUILD_NAME, SELECT_NOW_SQL, rebuild_index
from app.memory.indexing.repair import mark_missing_pending, sweep
from app.memory.indexing.words_refresh import refresh_words

log = structlog.get_logger()
POLL_SECONDS = 1.0
SILENT_AFTER_SECONDS = 120.0
MAX_REPAIR_SECONDS = 86_400.0
MAX_REPAIRS = 3
STANDSTILL_SECONDS = 30.0
# A row that is marked as pending keeps the time of its last change, so rows that are added meanwhile do not count.
COUNT_PENDING_SQL = text(
    "select count(*) from memories where state = 'pending' and archived_at is null and updated_at < :started"
)
SELECT_RUNNING_REBUILD_SQL = text("""
select name from maintenance
where name = :name and state = 'running' and updated_at > now() - interval '1 minute'
""")


class IndexWatch:
    """`inspects` says whether to compare the index with the ledger at the start."""

    def __init__(self, resources: Resources, *, inspects: bool) -> None:
        self.supervised = SupervisedTask("index_watch", self._work, silent_after_seconds=SILENT_AFTER_SECONDS)
        self._resources = resources
        self._must_inspect = inspects
        self._must_refresh_words = True
        self._was_low = False

    async def _work(self) -> None:
        while True:
            await self._follow_disk_space()
            if self._must_inspect and not self._was_low:
                await self._repair()
                self._must_inspect = False
                self._resources.index_repair.is_inspected = True
            if self._must_refresh_words and not self._was_low:
                await refresh_words(self._resources, after_each_step=self.supervised.beat)
                self._must_refresh_words = False
            self.supervised.beat()
            await asyncio.sleep(POLL_SECONDS)

    async def _follow_disk_space(self) -> None:
        """Rows that were committed while the index refused writes are pending."""
        is_low = self._resources.disk_space.is_low()
        if is_low and not self._was_low:
            log.warning("disk.full", free_bytes=self._resources.disk_space.free_bytes())
        if self._was_low and not is_low:
            log.info("disk.has_space_again")
            await sweep(self._resources, older_than_seconds=0)
        self._was_low = is_low

    async def _repair(self) -> None:
        """The index serves meanwhile. What this does can be interrupted: the next inspection begins where it ended."""
        await complete_move(self._resources)
        for _ in range(MAX_REPAIRS):
            condition = await inspect_index(self._resources)
            if condition is IndexCondition.COMPLETE:
                return
            log.warning("index.repair_started", condition=condition)
            with self._repairing():
                count = await self._rebuild() if condition is IndexCondition.DAMAGED else await self._fill()
            log.info("index.repaired", count=count)
        log.error("index.not_repaired")

    @contextmanager
    def _repairing(self) -> Iterator[None]:
        self._resources.index_repair.is_running = True
        INDEX_REPAIRING.set(1)
        self.supervised.silent_after_seconds = MAX_REPAIR_SECONDS
        try:
            yield
        finally:
            self._resources.index_repair.is_running = False
            INDEX_REPAIRING.set(0)
            self.supervised.beat()
            self.supervised.silent_after_seconds = SILENT_AFTER_SECONDS

    async def _fill(self) -> int:
        count = await mark_missing_pending(self._resources)
        await sweep(self._resources, older_than_seconds=0)
        await self._wait_until_indexed()
        return count

    async def _wait_until_indexed(self) -> None:
        """Returns, too, when nothing moves any more, for example because the embedder is unavailable."""
        async with self._resources.database.system() as tx:
            started = await tx.scalar(SELECT_NOW_SQL)
        least, moved_at = None, time.monotonic()
        while time.monotonic() - moved_at < STANDSTILL_SECONDS:
            async with self._resources.database.system() as tx:
                pending = await tx.scalar(COUNT_PENDING_SQL, {"started": started}) or 0
            if not pending:
                return
            if least is None or pending < least:
                least, moved_at = pending, time.monotonic()
            await asyncio.sleep(POLL_SECONDS / 5)

    async def _rebuild(self) -> int:
        """Two processes that rebuild one index would replace each other's work."""
        async with self._resources.database.system() as tx:
            if (await tx.execute(SELECT_RUNNING_REBUILD_SQL, {"name": REBUILD_NAME})).first():
                raise Unavailable("Another process is rebuilding the vector index.")
        return await rebuild_index(self._resources)
