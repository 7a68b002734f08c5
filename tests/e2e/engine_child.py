"""A process that adds, changes and deletes memories and prints every acknowledged change until it ends or is killed.

`python -m tests.e2e.engine_child DATA_DIR CHANGES SEED`: one line for each acknowledged change: `add|set|del ID WORDS`.
"""

import asyncio
import random
import sys
from pathlib import Path
from uuid import UUID

from app.core.observability.logging import configure_logging
from app.core.resources import Resources
from app.memory.edit import Owner, change_memory
from app.memory.forget import forget
from app.memory.namespace import Namespace
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs
from tests.memory.namespaces import add_memories

WRITERS = 4


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def live(resources: Resources, namespace: Namespace, changes: int, seed: int, writer: int) -> None:
    chance, mine = random.Random(f"{seed}/{writer}"), list[UUID]()
    for number in range(changes):
        words = f"Seed {seed} writer {writer} said {number}"
        pick = chance.random()
        if pick < 0.5 or not mine:
            (memory_id,) = await add_memories(resources, namespace, words)
            mine.append(memory_id)
            tell("add", memory_id, words)
        elif pick < 0.8:
            memory_id = chance.choice(mine)
            tell("try", memory_id, words)
            await change_memory(resources, Owner(namespace.project_id), memory_id, {"content": words})
            tell("set", memory_id, words)
        else:
            memory_id = mine.pop(chance.randrange(len(mine)))
            tell("try", memory_id)
            await forget(resources, namespace, [memory_id])
            tell("del", memory_id)


async def main(folder: Path, project: UUID, profile: UUID, changes: int, seed: int) -> None:
    configure_logging("ERROR", as_json=False)
    namespace = Namespace(project, "ann", profile)
    settings = Settings(_env_file=None, data_dir=folder)
    async with open_resources(settings, alone=True) as resources, run_jobs(resources, concurrency=2):
        tell("up")
        share = changes // WRITERS
        await asyncio.gather(*(live(resources, namespace, share, seed, writer) for writer in range(WRITERS)))
        tell("done")
        await asyncio.sleep(60)


if __name__ == "__main__":
    folder, project, profile, changes, seed = sys.argv[1:]
    asyncio.run(main(Path(folder), UUID(project), UUID(profile), int(changes), int(seed)))
