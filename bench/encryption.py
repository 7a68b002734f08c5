"""What encryption at rest costs: `python -m bench.encryption [--size 1000] [--rounds 40]`.

Two projects with the same memories, one of them encrypted, are used in turns by one process, so that both meet the same
minute of the machine. CPU time is that of this process, Postgres not included.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import uvloop
from sqlalchemy import text

from app.core.database.database import Database
from app.core.observability.logging import configure_logging
from app.core.resources import Resources
from app.memory.indexing import Indexer
from app.memory.ledger import LedgerRepository, Memory, NewMemory
from app.memory.namespace import Namespace
from app.memory.recall import Question, recall
from app.memory.remember import remember
from app.profiles.repository import ProfileRepository
from app.settings import Settings
from app.wiring import open_resources
from app.wiring.postgres import encrypt_content
from bench.corpus import sentences
from bench.portability import create_project

OPERATIONS, LISTED, BATCH = 20, 100, 100
FRESH = sentences(3)
Work = Callable[[], Awaitable[object]]
SELECT_SIZE_SQL = text("select avg(length(content)) from memories where project_id = :id")


async def main(size: int, rounds: int, folder: Path) -> None:
    key = "a master key of the benchmark long enough"
    plain_settings = Settings(_env_file=None, data_dir=folder)
    settings = Settings(_env_file=None, data_dir=folder, content_keys=key, encrypt_new_projects=True)
    async with open_resources(plain_settings) as plain:
        database = Database(plain.database.url)
        encrypt_content(database, settings)
        queue = Indexer(database, plain.embedder, plain.index)
        queue.start()
        sealed = replace(plain, database=database, index_queue=queue)
        places = [(each, await fill(each, size)) for each in (plain, sealed)]
        for name, build in (("add", adding), ("search", searching), (f"read {LISTED} memories", reading)):
            await compare(name, [build(*place) for place in places], rounds)
        for resources, namespace in places:
            async with resources.database.transaction(namespace.project_id) as tx:
                print(
                    f"characters of a stored text: {await tx.scalar(SELECT_SIZE_SQL, {'id': namespace.project_id}):.0f}"
                )
        await queue.close()
        await database.close()


async def fill(resources: Resources, size: int) -> Namespace:
    project_id = await create_project(resources.database)
    async with resources.database.transaction(project_id) as tx:
        profile = await ProfileRepository(tx, project_id).default_of("ann")
    namespace = Namespace(project_id, "ann", profile.id)
    for _ in range(size // BATCH):
        await remember(resources, namespace, [NewMemory(each) for each in itertools.islice(FRESH, BATCH)])
    await resources.index_queue.wait_until_indexed(project_id, None)
    return namespace


async def compare(name: str, works: list[Work], rounds: int) -> None:
    """The median of the rounds, each of which does one kind of work several times."""
    spent: list[list[float]] = [[], []]
    for number in range(rounds + 2):
        for which, work in enumerate(works):
            start = time.process_time()
            for _ in range(OPERATIONS):
                await work()
            if number >= 2:
                spent[which].append((time.process_time() - start) * 1000 / OPERATIONS)
    plain, sealed = map(statistics.median, spent)
    print(f"{name:20} cpu {plain:6.3f} ms plain, {sealed:6.3f} ms encrypted: {sealed - plain:+.3f} ms", flush=True)


def adding(resources: Resources, namespace: Namespace) -> Work:
    """Until the memory can be found, so that no indexing is left for the other project's turn."""

    async def add() -> None:
        await remember(resources, namespace, [NewMemory(next(FRESH), id=uuid.uuid4())])
        await resources.index_queue.wait_until_indexed(namespace.project_id, None)

    return add


def searching(resources: Resources, namespace: Namespace) -> Work:
    async def search() -> None:
        await recall(resources, Question(namespace.project_id, next(FRESH), (namespace,)))

    return search


def reading(resources: Resources, namespace: Namespace) -> Work:
    async def read() -> None:
        async with resources.database.transaction(namespace.project_id) as tx:
            await LedgerRepository(tx, namespace.project_id).page(LISTED, None, Memory.namespace == str(namespace))

    return read


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    configure_logging("WARNING", as_json=False)
    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(main(options.size, options.rounds, Path(directory)))
