"""The conversation store in process, beside the search of memories: `python -m bench.messages [--size 10000]`.

Alike texts are stored as messages of one tenant and as memories of one profile. The questions are new to the engine,
so each is embedded. The last line is one JSON object.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import uvloop

from app.core.observability.logging import configure_logging
from app.core.ports import Role
from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.ledger import NewMemory
from app.memory.messages import MessageDraft, MessageSearch, search_messages, store_messages
from app.memory.namespace import MessageNamespace, Namespace
from app.memory.recall import Question, recall
from app.memory.remember import remember
from app.settings import Settings
from app.wiring import open_resources
from bench.corpus import create_namespaces, sentences
from bench.engine import Figures, timed

ONE_BY_ONE, BATCH, TENANT = 300, 1000, "my-app"
TEXTS, FRESH = sentences(1), sentences(2)


def draft(text: str) -> MessageDraft:
    return MessageDraft("conversation", Role.USER, text, tenant_id=TENANT)


async def repeat(work: Callable[[], Awaitable[object]], times: int) -> None:
    for _ in range(times):
        await work()


async def rate(name: str, count: int, work: Awaitable[object]) -> Figures:
    start = time.perf_counter()
    await work
    per_second = count / (time.perf_counter() - start)
    print(f"  {name:44} {per_second:9.0f}/s")
    return {f"{name}, /s": round(per_second)}


@dataclass(frozen=True)
class Bench:
    """Each step stores messages and then as many memories."""

    resources: Resources
    namespace: Namespace

    @property
    def owner(self) -> Owner:
        return Owner(self.namespace.project_id)

    async def store(self, count: int) -> None:
        await store_messages(self.resources, self.owner, [draft(text) for text in islice(TEXTS, count)])

    async def remember(self, count: int) -> None:
        await remember(self.resources, self.namespace, [NewMemory(text) for text in islice(TEXTS, count)])

    async def measure_adds(self, size: int) -> Figures:
        figures: Figures = {}
        for name, count, times in (("one by one", 1, ONE_BY_ONE), ("in batches of 1,000", BATCH, size // BATCH)):
            for kind, add in (("messages", self.store), ("memories", self.remember)):
                figures |= await rate(f"{kind} {name}, acknowledged", count * times, repeat(partial(add, count), times))
                await self.wait()
        return figures

    async def wait(self) -> None:
        messages = str(MessageNamespace(self.namespace.project_id, tenant_id=TENANT))
        await self.resources.index_queue.wait_until_indexed(self.namespace.project_id, [messages, str(self.namespace)])

    async def measure_searches(self) -> Figures:
        async def of_messages() -> object:
            return await search_messages(self.resources, self.owner, MessageSearch(next(FRESH), TENANT))

        async def of_memories() -> object:
            question = Question(self.namespace.project_id, next(FRESH), (self.namespace,))
            return await recall(self.resources, question)

        figures = await timed("search of messages", of_messages)
        return figures | await timed("search of memories", of_memories)


async def main(size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_resources(Settings(_env_file=None, data_dir=Path(folder))) as resources:
            namespaces = await create_namespaces(resources)
            print(f"{size:,} messages and as many memories")
            bench = Bench(resources, namespaces.large)
            print(json.dumps(await bench.measure_adds(size) | await bench.measure_searches()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000)
    arguments = parser.parse_args()
    configure_logging("WARNING", as_json=False)
    uvloop.run(main(arguments.size))
