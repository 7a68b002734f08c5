"""The speed and the memory of export and import: `python -m bench.portability [--memories 100000] [--folder FOLDER]`.

A fresh instance is filled, exported, imported into a second one, and exported there; both files must be the same.
"""

import argparse
import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text

from app.core.database.database import Database
from app.portability.exports.read_rows import DataScope
from app.portability.exports.write_file import export_to_file
from app.portability.imports.run import import_file
from app.settings import Settings
from app.wiring import open_store

T = TypeVar("T")
INSERT_PROJECT_SQL = text("""
with o as (insert into organizations (name) values ('Bench') returning id)
insert into projects (organization_id, name) select id, 'Bench' from o returning id
""")
INSERT_PROFILES_SQL = text("""
insert into profiles (project_id, user_id, name, is_default)
select :project, 'user ' || n, 'Default', true from generate_series(1, :users) n
""")
INSERT_MEMORIES_SQL = text("""
with added as (
  insert into memories (project_id, user_id, profile_id, namespace, kind, content, metadata, categories, hash, state)
  select :project, p.user_id, p.id, :project || ':' || p.id, 'fact',
    'Memory ' || n || ' of ' || p.user_id || repeat(' about tea, bees and Lisbon', 5),
    jsonb_build_object('number', n), '{tea}', convert_to('h' || n, 'UTF8'), 'indexed'
  from generate_series(cast(:first as integer), cast(:last as integer)) n
  join profiles p on p.project_id = :project and p.user_id = 'user ' || (n % :users + 1)
  returning id, user_id, content, metadata
)
insert into memory_history (project_id, memory_id, user_id, event, new_memory, metadata)
select :project, id, user_id, 'ADD', content, metadata from added
""")
BATCH, USERS = 5000, 100


def peak_megabytes() -> int:
    """The largest resident size since the last reset."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def fill(database: Database, memories: int) -> uuid.UUID:
    project = await create_project(database)
    async with database.transaction(project) as tx:
        await tx.execute(INSERT_PROFILES_SQL, {"project": project, "users": USERS})
    for first in range(1, memories + 1, BATCH):
        values = {"project": project, "users": USERS, "first": first, "last": min(first + BATCH - 1, memories)}
        async with database.transaction(project, statement_timeout="60s") as tx:
            await tx.execute(INSERT_MEMORIES_SQL, values)
    return project


async def create_project(database: Database) -> uuid.UUID:
    async with database.system() as tx:
        return uuid.UUID(str(await tx.scalar(INSERT_PROJECT_SQL)))


async def measured(name: str, work: Callable[[], Awaitable[T]]) -> T:
    reset_peak()
    before, start, cpu = peak_megabytes(), time.perf_counter(), time.process_time()
    result = await work()
    seconds = time.perf_counter() - start
    cpu = time.process_time() - cpu
    growth = peak_megabytes() - before
    print(
        f"{name}: {seconds:.1f} s, of these {cpu:.1f} s CPU of this process, {growth} MB more at the peak", flush=True
    )
    return result


def ignore_progress(done: int, total: int) -> None:
    """The command line shows it."""


async def main(memories: int, folder: Path) -> None:
    first, second = folder / "first.jsonl", folder / "second.jsonl"
    settings = Settings(_env_file=None, data_dir=folder / "one")
    async with open_store(settings) as database:
        project = await fill(database, memories)
        for round_ in ("export", "export again"):
            await measured(round_, lambda: export_to_file(database, DataScope(project), first, ignore_progress))
    settings = Settings(_env_file=None, data_dir=folder / "two")
    async with open_store(settings) as database:
        project = await create_project(database)
        scope = DataScope(project)
        await measured("import", lambda: import_file(database, scope, first, ignore_progress))
        await measured("import again", lambda: import_file(database, scope, first, ignore_progress))
        await measured("export there", lambda: export_to_file(database, scope, second, ignore_progress))
    print(
        f"{first.stat().st_size >> 20} MB; the data lines are {'equal' if same_lines(first, second) else 'DIFFERENT'}"
    )


def same_lines(first: Path, second: Path) -> bool:
    with first.open("rb") as one, second.open("rb") as other:
        one.readline()
        other.readline()  # the headers have different times
        return all(mine == theirs for mine, theirs in zip(one, other, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as temporary:
        asyncio.run(main(chosen.memories, Path(temporary)))
