"""A backup is one file taken while serving, and restores into an empty folder."""

import asyncio
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.backup import back_up, restore
from app.core.errors import ConfigurationError
from app.core.resources import Resources
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs
from tests.memory.namespaces import add_memories, contents, create_namespace, load_history, new_project, search


def settings_of(folder: Path, **values: object) -> Settings:
    return Settings(_env_file=None, data_dir=folder, **values)


@pytest_asyncio.fixture(scope="module")
async def keepsake(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Resources]:
    folder: Path = tmp_path_factory.mktemp("keepsake") / "data"
    async with open_resources(settings_of(folder), alone=True) as resources:
        yield resources


@pytest.fixture(scope="module")
def folder(keepsake: Resources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next(path for path in tmp_path_factory.getbasetemp().glob("keepsake*/data"))


async def test_restore_brings_back_everything_acknowledged_before_the_backup(
    keepsake: Resources, folder: Path, tmp_path: Path
) -> None:
    namespace = await create_namespace(keepsake, await new_project(keepsake))
    (first, *_) = await add_memories(keepsake, namespace, "I like green tea", "Ich wohne in Köln", metadata={"a": 1})
    talking = asyncio.create_task(talk_on(keepsake, namespace))
    await back_up(settings_of(folder), tmp_path / "backup.tar")
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    after = await add_memories(keepsake, namespace, "I said this after the backup")

    await restore(settings_of(tmp_path / "new"), tmp_path / "backup.tar")
    async with open_resources(settings_of(tmp_path / "new"), alone=True) as restored, run_jobs(restored, concurrency=1):
        found = await search(restored, namespace, "tea", top_k=1)
        assert (contents(found), found[0].memory.metadata_) == (["I like green tea"], {"a": 1})
        assert contents(await search(restored, namespace, "Wo wohne ich?", top_k=1)) == ["Ich wohne in Köln"]
        assert after[0] not in {each.memory.id for each in await search(restored, namespace, "I", top_k=1000)}
        assert [each.event for each in await load_history(restored, namespace, first)] == ["ADD"]
        assert restored.key_pepper == keepsake.key_pepper
        (again,) = await add_memories(restored, namespace, "I like green tea")
        assert again == first


async def talk_on(resources: Resources, namespace: Namespace) -> None:
    """Takes the backup while clients write."""
    for number in range(10_000):
        await add_memories(resources, namespace, f"I own {number} marbles")


async def test_backup_file_is_readable_by_its_owner_only(keepsake: Resources, folder: Path, tmp_path: Path) -> None:
    await back_up(settings_of(folder), tmp_path / "backup.tar")
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["backup.tar"]


async def test_backup_requires_an_existing_folder(keepsake: Resources, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"The folder .* does not exist"):
        await back_up(settings_of(folder), tmp_path / "nowhere" / "backup.tar")


async def test_restore_refuses_to_overwrite_existing_data(keepsake: Resources, folder: Path, tmp_path: Path) -> None:
    await back_up(settings_of(folder), tmp_path / "backup.tar")
    with pytest.raises(ConfigurationError, match="already contains a database"):
        await restore(settings_of(folder), tmp_path / "backup.tar")


async def test_restore_requires_the_embedded_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Unset DATABASE_URL"):
        await restore(settings_of(tmp_path / "new", database_url="postgresql://localhost/x"), tmp_path / "backup.tar")


@pytest.mark.parametrize("kind", ["missing", "text", "other archive", "newer"])
async def test_restore_refuses_other_files_and_leaves_the_folder_empty(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "backup.tar"
    write(source, kind)
    with pytest.raises(ConfigurationError, match="does not exist" if kind == "missing" else "is not a backup"):
        await restore(settings_of(tmp_path / "new"), source)
    assert not (tmp_path / "new" / "postgres").exists()


def write(source: Path, kind: str) -> None:
    if kind == "text":
        source.write_text("hello")
    if kind in ("other archive", "newer"):
        manifest = source.with_name("manifest.json")
        manifest.write_text('{"format": 99}' if kind == "newer" else "{}")
        with tarfile.open(source, "w") as archive:
            archive.add(manifest, "manifest.json" if kind == "newer" else "else.json")
