"""`kill -9` at random points: after a restart every acknowledged change is there, in ledger and index alike."""

import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.resources import Resources
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs
from tests.memory.namespaces import create_namespace, new_project

ROOT = Path(__file__).parent.parent.parent
MINE = text("select id, content, state from memories where namespace = :namespace")


@dataclass
class Acknowledged:
    """Changes that must be present, and those that may be either way because they were not acknowledged."""

    words: dict[UUID, str] = field(default_factory=dict)
    gone: set[UUID] = field(default_factory=set)
    unsure: dict[UUID, str | None] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        what, *rest = line.rstrip("\n").split(" ", 2)
        memory_id, words = UUID(rest[0]), rest[1] if len(rest) > 1 else None
        self.unsure.pop(memory_id, None)
        if what == "try":
            self.unsure[memory_id] = words
        elif what == "del":
            self.gone.add(memory_id)
            del self.words[memory_id]
        elif words is not None:
            self.words[memory_id] = words

    def check(self, found: dict[UUID, str]) -> None:
        for memory_id, words in self.words.items():
            allowed = {words, self.unsure.get(memory_id, words)}
            assert found.get(memory_id) in allowed
        assert not self.gone & found.keys()
        self.words, self.unsure = dict(found), {}


@pytest.mark.parametrize(
    ("changes", "kills"), [(150, 2), pytest.param(1000, 12, marks=pytest.mark.long)], ids=["quick", "thousand"]
)
async def test_crash_loses_no_acknowledged_change(tmp_path: Path, changes: int, kills: int) -> None:
    async with open_resources(Settings(_env_file=None, data_dir=tmp_path)) as resources:
        namespace = await create_namespace(resources, await new_project(resources))
    known, chance = Acknowledged(), random.Random(11)
    for seed in range(kills):
        lines = chance.randrange(changes // kills // 2, changes // kills)
        live_and_be_killed(tmp_path, namespace, known, changes, seed, lines)
    async with (
        open_resources(Settings(_env_file=None, data_dir=tmp_path)) as resources,
        run_jobs(resources, concurrency=1),
    ):
        await check(resources, namespace, known)
    assert known.words
    assert known.gone


def live_and_be_killed(
    folder: Path, namespace: Namespace, known: Acknowledged, changes: int, seed: int, lines: int
) -> None:
    arguments = [folder, namespace.project_id, namespace.profile_id, changes, seed]
    command = [sys.executable, "-m", "tests.e2e.engine_child", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        heard = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        heard += child.stdout.readlines()
    for line in heard:
        if line.endswith("\n") and line[:4] in ("add ", "try ", "set ", "del "):
            known.hear(line)


async def check(resources: Resources, namespace: Namespace, known: Acknowledged) -> None:
    await resources.index_queue.wait_until_indexed(namespace.project_id, None)
    async with resources.database.transaction(namespace.project_id) as tx:
        rows = (await tx.execute(MINE, {"namespace": str(namespace)})).all()
    known.check({row.id: row.content for row in rows})
    assert {row.state for row in rows} == {"indexed"}
    assert await resources.index.find_existing([row.id for row in rows]) == {row.id for row in rows}
    assert await resources.index.find_existing(list(known.gone)) == set()
    assert await resources.index.count() == len(rows)
