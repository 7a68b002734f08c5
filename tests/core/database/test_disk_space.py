from pathlib import Path

import pytest

from app.core.database.disk_space import RESERVE_BYTES, DiskSpace
from app.core.errors import DiskFull
from tests.faults.small_disk import small_disk

MEGABYTE = 1 << 20


def test_reserve_is_an_eighth_of_a_small_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 80) as disk:
        space = DiskSpace(disk.folder)
        assert space.reserve_bytes() == 10 * MEGABYTE
        assert space.has_room(70 * MEGABYTE)
        assert not space.has_room(71 * MEGABYTE)
        disk.fill(but_megabytes=10)
        space.require()
        disk.fill(but_megabytes=9)
        assert (space.is_low(), space.is_nearly_used_up()) == (True, False)
        with pytest.raises(DiskFull) as refusal:
            space.require()
        assert refusal.value.headers == {"Retry-After": "30"}
        disk.fill(but_megabytes=2)
        assert space.is_nearly_used_up()
        disk.make_room()
        assert not space.is_low()
    assert DiskSpace(tmp_path).reserve_bytes() == RESERVE_BYTES


def test_without_a_folder_there_is_always_space() -> None:
    space = DiskSpace(None)
    space.require()
    assert not space.is_low()
