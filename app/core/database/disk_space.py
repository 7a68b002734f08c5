"""The free space on the disk of DATA_DIR. Writes stop while some of it is left.

The embedded index writes to sparse files through memory maps. If the disk has no room for such a write, the operating
system kills the process, so the only way to survive is not to write.
"""

import os
from pathlib import Path

from app.core.errors import DiskFull

RESERVE_BYTES = 64 << 20
"""Enough for a batch of the index, for flushing it, and for two more segments of Postgres' write-ahead log."""
RESERVED_SHARE = 8
"""On a small disk, the reserve is one eighth of it."""


class DiskSpace:
    """Asks the file system each time, which takes two microseconds. Without a folder, there is always space."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def free_bytes(self) -> int:
        return self._measure()[0]

    def reserve_bytes(self) -> int:
        return self._measure()[1]

    def is_low(self) -> bool:
        free, reserve = self._measure()
        return free < reserve

    def has_room(self, size: int) -> bool:
        """Whether a file of this size can be written without touching the reserve."""
        free, reserve = self._measure()
        return free >= reserve + size

    def is_nearly_used_up(self) -> bool:
        """Whether most of the reserve is used up, too."""
        free, reserve = self._measure()
        return free < reserve // 4

    def require(self) -> None:
        if self.is_low():
            raise DiskFull

    async def is_sufficient(self) -> bool:
        return not self.is_low()

    def _measure(self) -> tuple[int, int]:
        """Free bytes and the reserve."""
        if self._folder is None:
            return 1, 0
        disk = os.statvfs(self._folder)
        total = disk.f_blocks * disk.f_frsize
        return disk.f_bavail * disk.f_frsize, min(RESERVE_BYTES, total // RESERVED_SHARE)
