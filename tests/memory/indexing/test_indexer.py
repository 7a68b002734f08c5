"""What a search waits for while another project writes much, and what it finds of a long text."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from app.core.observability.metrics import REGISTRY
from app.core.ports import Embedder, IndexRemoval, IndexUpsert, Purpose, SearchScope, Vector
from app.core.resources import Resources
from app.memory.indexing import Indexer
from app.memory.indexing.indexer import build_entries
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    load_memory,
    new_project,
    search,
    wait_until_indexed,
)
from tests.patience import PATIENCE_SECONDS, succeeds

LONG = "The weather report said nothing in particular about the coming week. " * 1300


async def test_long_texts_of_one_project_do_not_delay_the_searches_of_another(
    resources: Resources, namespace: Namespace
) -> None:
    busy = await create_namespace(resources, await new_project(resources))
    await remember(resources, busy, [NewMemory(f"{number} {LONG}") for number in range(8)])
    await asyncio.sleep(0.1)
    await add_memories(resources, namespace, "My sister Ines lives in Lisbon")
    assert contents(await search(resources, namespace, "Where does my sister live?"))
    assert resources.index_queue.count_waiting(busy.project_id) > 3, "their texts are still waiting"
    await resources.index_queue.wait_until_indexed(busy.project_id, None)


async def test_end_of_a_long_text_is_found_by_its_words(resources: Resources, namespace: Namespace) -> None:
    long, *_ = await add_memories(resources, namespace, f"{LONG} A quokka.", *(f"Note {n}" for n in range(20)))
    index = await wait_until_indexed(resources, namespace)
    [vector] = await resources.embedder.embed(["quokka"])
    scope = SearchScope(namespace.project_id, (str(namespace),))
    found = await index.find_candidates(scope, vector, "quokka", 5)
    assert [each.id for each in found if each.bm25] == [long]


@dataclass
class SlowEmbedder:
    """Answers questions at once, and takes its time for memories until it is released."""

    embedder: Embedder
    released: asyncio.Event = field(default_factory=asyncio.Event)
    tenants: list[UUID | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name, self.dimensions = self.embedder.name, self.embedder.dimensions

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        self.tenants.append(tenant)
        if purpose is Purpose.DOCUMENT:
            await self.released.wait()
        return await self.embedder.embed(texts, purpose, tenant=tenant)

    async def close(self) -> None:
        """The wrapped embedder is closed by its owner."""


async def test_batch_that_hangs_is_given_up(resources: Resources, namespace: Namespace) -> None:
    async def is_given_up_and_the_next_one_not(scale: float) -> bool:
        hanging = SlowEmbedder(resources.embedder)
        queue = Indexer(resources.database, hanging, resources.index, batch_seconds=0.05 * scale)
        queue.start()
        own = await create_namespace(resources, namespace.project_id, f"user {scale} {uuid4()}")
        await add_memories(replace(resources, index_queue=queue), own, "I like tea")
        assert await queue.wait_until_indexed(own.project_id, [str(own)], seconds=PATIENCE_SECONDS)
        hanging.released.set()
        await add_memories(replace(resources, index_queue=queue), own, "I like milk")
        assert await queue.wait_until_indexed(own.project_id, [str(own)], seconds=PATIENCE_SECONDS)
        found = contents(await search(resources, own, "drinks"))
        await queue.close()
        return found == ["I like milk"]

    assert await succeeds(is_given_up_and_the_next_one_not)


async def test_writer_waits_while_much_of_its_project_waits(resources: Resources) -> None:
    stopped, now = Indexer(resources.database, resources.embedder, resources.index), dt.datetime.now(dt.UTC)

    async def is_slowed(project_id: UUID, count: int) -> bool:
        changes = [IndexUpsert(uuid4(), project_id, "a", LONG, None, now, now) for _ in range(count)]
        writing = asyncio.create_task(stopped.put(changes))
        await asyncio.wait([writing], timeout=0.05)
        return writing.cancel()

    assert await is_slowed(uuid4(), 100)
    assert not await is_slowed(uuid4(), 10), "another project"


async def test_projects_take_turns_at_the_embedding_model(resources: Resources) -> None:
    embedder, now, projects = SlowEmbedder(resources.embedder), dt.datetime.now(dt.UTC), [uuid4(), uuid4()]
    embedder.released.set()
    changes = [IndexUpsert(uuid4(), each, "a", "I like tea", None, now, now) for each in projects]
    for batch in (changes[:1], changes):
        await build_entries(embedder, batch)
    assert embedder.tenants == [projects[0], None]


async def test_search_answers_with_what_is_there_if_the_index_is_slow(
    resources: Resources, namespace: Namespace
) -> None:
    await add_memories(resources, namespace, "I like green tea")
    assert contents(await search(resources, namespace, "tea")) == ["I like green tea"]
    embedder = SlowEmbedder(resources.embedder)
    queue = Indexer(resources.database, embedder, resources.index)
    queue.start()
    slow = replace(resources, embedder=embedder, index_queue=queue)
    await add_memories(slow, namespace, "I like black tea")
    before = REGISTRY.get_sample_value("keepsake_index_waits_ended_total") or 0
    assert contents(await search(slow, namespace, "tea")) == ["I like green tea"]
    assert REGISTRY.get_sample_value("keepsake_index_waits_ended_total") == before + 1
    embedder.released.set()
    await queue.close()
    assert len(await search(slow, namespace, "tea")) == 2


async def test_removal_of_an_id_that_another_project_uses_now_keeps_the_memory_there(
    resources: Resources, namespace: Namespace
) -> None:
    """An import keeps the id of a memory that was deleted elsewhere, and may overtake its removal from the index."""
    [memory] = await add_memories(resources, namespace, "I play the theorbo")
    worker = next(task for task in resources.supervised_tasks if task.name == "indexer")
    restarts = worker.restarts
    await resources.index_queue.put([IndexRemoval(memory, uuid4(), "elsewhere")])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while memory in resources.index_queue:  # noqa: ASYNC110  # the queue has no event for it
            await asyncio.sleep(0.01)
    assert "I play the theorbo" in contents(await search(resources, namespace, "theorbo"))
    stored = await load_memory(resources, namespace, memory)
    assert (stored and stored.state, worker.restarts) == ("indexed", restarts)
