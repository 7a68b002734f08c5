"""Watches what keeps memories from reaching the index, and indexes them as soon as it has passed."""

import asyncio

import structlog

from app.core.background_tasks import SupervisedTask
from app.core.resources import Resources
from app.memory.indexing.repair import sweep

log = structlog.get_logger()
POLL_SECONDS = 1.0
SILENT_AFTER_SECONDS = 900.0


class IndexWatch:
    def __init__(self, resources: Resources) -> None:
        self.supervised = SupervisedTask("index_watch", self._work, silent_after_seconds=SILENT_AFTER_SECONDS)
        self._resources = resources
        self._was_low = False

    async def _work(self) -> None:
        while True:
            await self._sweep_when_space_returns()
            self.supervised.beat()
            await asyncio.sleep(POLL_SECONDS)

    async def _sweep_when_space_returns(self) -> None:
        """Rows that were committed while the index refused writes are pending."""
        is_low = self._resources.disk_space.is_low()
        if is_low and not self._was_low:
            log.warning("disk.full", free_bytes=self._resources.disk_space.free_bytes())
        if self._was_low and not is_low:
            log.info("disk.has_space_again")
            await sweep(self._resources, older_than_seconds=0)
        self._was_low = is_low
