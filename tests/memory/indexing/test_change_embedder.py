"""A project changes its embedder while it serves: what searches find, and which index has its vectors."""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import pytest_asyncio

from app.core.ports import MULTILINGUAL as MULTILINGUAL_MODEL
from app.core.ports import Embedder, EmbedderChoice, IndexEntry, Purpose, Vector
from app.core.resources import Resources
from app.memory.embedders import EmbedderRouter, IndexRouter, ranking_model
from app.memory.indexing import mark_missing_pending, rebuild_index, remove_orphans
from app.memory.indexing.change_embedder import EmbedderChange, change_embedder
from app.memory.namespace import Namespace
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    execute_sql_as_system,
    new_project,
    search,
    wait_until_indexed,
)

TEXTS = ("My sister is a doctor in a hospital", "I paint boats at the weekend", "The car is in the garage")
SPANISH = "¿Qué profesión tiene mi hermana?"
ENGLISH, MULTILINGUAL = EmbedderChoice


@pytest_asyncio.fixture
async def other_namespace(resources: Resources) -> Namespace:
    return await create_namespace(resources, await new_project(resources))


@pytest_asyncio.fixture(autouse=True)
async def _delete_projects(
    resources: Resources, namespace: Namespace, other_namespace: Namespace
) -> AsyncIterator[None]:
    """Other tests count what repair finds in the whole database."""
    yield
    ids = [namespace.project_id, other_namespace.project_id]
    await execute_sql_as_system(resources, "delete from projects where id = any(:ids)", ids=ids)


async def choose(resources: Resources, project_id: UUID, chosen: str, *, change: bool = True) -> None:
    await execute_sql_as_system(
        resources,
        "insert into project_embedders (project_id, chosen) values (:id, :chosen)"
        " on conflict (project_id) do update set chosen = excluded.chosen",
        id=project_id,
        chosen=chosen,
    )
    if change:
        await change_embedder(resources, project_id, grace_seconds=0)


async def set_phase(resources: Resources, project_id: UUID, phase: str) -> None:
    """As another process does it: this one is not told."""
    await execute_sql_as_system(
        resources,
        "update project_embedders set phase = :phase, version = gen_random_uuid() where project_id = :id",
        id=project_id,
        phase=phase,
    )


async def held(resources: Resources, choice: EmbedderChoice, ids: list[UUID]) -> list[UUID]:
    """Those of the ids that the index of this embedder has."""
    assert isinstance(resources.index, IndexRouter)
    found = await (await resources.index.index_of(choice)).find_existing(ids)
    return [each for each in ids if each in found]


async def refresh(resources: Resources) -> None:
    assert isinstance(resources.index, IndexRouter)
    await resources.index.choices.refresh()


async def first(resources: Resources, namespace: Namespace, question: str) -> str:
    return contents(await search(resources, namespace, question, top_k=1))[0]


@dataclass
class OvertakenEmbedder:
    """While it embeds for the first and the second time, a memory gets another text."""

    embedder: Embedder
    resources: Resources
    namespace: Namespace
    memory_id: UUID
    calls: int = 0

    @property
    def name(self) -> str:
        return self.embedder.name

    @property
    def dimensions(self) -> int:
        return self.embedder.dimensions

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        self.calls += 1
        if self.calls <= 2:
            await execute_sql(
                self.resources,
                self.namespace,
                "update memories set content = :content, updated_at = clock_timestamp() where id = :id",
                content=f"The bridge {self.calls}",
                id=self.memory_id,
            )
        return await self.embedder.embed(texts, purpose, tenant=tenant)

    async def close(self) -> None:
        await self.embedder.close()


async def test_two_projects_have_embedders_of_their_own(
    resources: Resources, namespace: Namespace, other_namespace: Namespace
) -> None:
    ids = await add_memories(resources, namespace, *TEXTS)
    others = await add_memories(resources, other_namespace, *TEXTS)
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual")
    assert await first(resources, namespace, SPANISH) == TEXTS[0]
    assert await first(resources, other_namespace, "What does my sister do?") == TEXTS[0]
    assert await held(resources, MULTILINGUAL, [*ids, *others]) == ids
    assert await held(resources, ENGLISH, [*ids, *others]) == others
    assert ranking_model(resources.embedder, namespace.project_id) == MULTILINGUAL_MODEL.name
    assert ranking_model(resources.embedder, other_namespace.project_id) == resources.embedder.name


async def test_project_changes_back_and_leaves_nothing_behind(resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(resources, namespace, *TEXTS)
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual")
    ids += await add_memories(resources, namespace, "The bridge is closed in winter")
    await wait_until_indexed(resources, namespace)
    assert await held(resources, ENGLISH, ids) == []
    await choose(resources, namespace.project_id, "english")
    assert await held(resources, MULTILINGUAL, ids) == []
    assert await held(resources, ENGLISH, ids) == ids
    assert await first(resources, namespace, "When is the bridge closed?") == "The bridge is closed in winter"
    rows = await execute_sql_as_system(
        resources, "select 1 from project_embedders where project_id = :id", id=namespace.project_id
    )
    assert rows == []


async def test_writes_during_a_change_reach_both_indexes(resources: Resources, namespace: Namespace) -> None:
    before = await add_memories(resources, namespace, *TEXTS)
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual", change=False)
    await set_phase(resources, namespace.project_id, "filling")
    await refresh(resources)
    [during] = await add_memories(resources, namespace, "The bridge is closed in winter")
    await wait_until_indexed(resources, namespace)
    assert await held(resources, ENGLISH, [*before, during]) == [*before, during], "searches use the old index"
    assert await held(resources, MULTILINGUAL, [*before, during]) == [during]
    assert await first(resources, namespace, "When is the bridge closed?") == "The bridge is closed in winter"
    await change_embedder(resources, namespace.project_id, grace_seconds=0)
    assert await held(resources, MULTILINGUAL, [*before, during]) == [*before, during]


async def test_process_that_does_not_know_of_the_change_writes_again(
    resources: Resources, namespace: Namespace
) -> None:
    await add_memories(resources, namespace, TEXTS[0])
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual", change=False)
    await refresh(resources)
    await set_phase(resources, namespace.project_id, "filling")
    [added] = await add_memories(resources, namespace, TEXTS[1])
    await wait_until_indexed(resources, namespace)
    assert await held(resources, MULTILINGUAL, [added]) == [added]


async def test_change_goes_on_where_it_was_interrupted(resources: Resources, namespace: Namespace) -> None:
    ids = sorted(await add_memories(resources, namespace, *TEXTS))
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual", change=False)
    assert isinstance(resources.index, IndexRouter)
    await set_phase(resources, namespace.project_id, "filling")
    change = EmbedderChange(resources, resources.index, namespace.project_id, 0)
    await refresh(resources)
    [part] = [each for each in await resources.index.parts() if each.choice is MULTILINGUAL]
    await change._copy(part, ids[:2])
    await execute_sql_as_system(
        resources,
        "update project_embedders set position = :position, done = 2 where project_id = :id",
        position=ids[1],
        id=namespace.project_id,
    )
    await part.index.remove(ids[:1])
    await change_embedder(resources, namespace.project_id, grace_seconds=0)
    assert await held(resources, MULTILINGUAL, ids) == ids[1:], "what came before is not embedded again"


async def test_project_that_changes_its_mind_keeps_its_index(resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(resources, namespace, *TEXTS)
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual", change=False)
    await set_phase(resources, namespace.project_id, "filling")
    await choose(resources, namespace.project_id, "english")
    assert await held(resources, ENGLISH, ids) == ids
    assert await held(resources, MULTILINGUAL, ids) == []


async def test_memory_that_changes_while_it_is_copied_is_copied_again(
    resources: Resources, namespace: Namespace
) -> None:
    """The newer text may be indexed before the copy of the older one is written."""
    ids = await add_memories(resources, namespace, *TEXTS)
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual", change=False)
    await refresh(resources)
    assert isinstance(resources.index, IndexRouter)
    [part] = [each for each in await resources.index.parts() if each.choice is MULTILINGUAL]
    overtaken = OvertakenEmbedder(part.embedder, resources, namespace, ids[0])
    await EmbedderChange(resources, resources.index, namespace.project_id, 0)._copy(
        replace(part, embedder=overtaken), ids
    )
    assert overtaken.calls == 3
    [expected] = await part.embedder.embed(["The bridge 2"])
    vector = (await part.index.load_vectors(namespace.project_id, ids[:1]))[ids[0]]
    assert sum(a * b for a, b in zip(expected, vector, strict=True)) > 0.99


async def test_deleted_memories_leave_both_indexes(resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(resources, namespace, *TEXTS)
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual", change=False)
    await set_phase(resources, namespace.project_id, "filling")
    await refresh(resources)
    await execute_sql_as_system(
        resources, "update memories set state = 'pending' where project_id = :id", id=namespace.project_id
    )
    for choice in EmbedderChoice:
        assert isinstance(resources.index, IndexRouter)
        [part] = [each for each in await resources.index.parts() if each.choice is choice]
        await EmbedderChange(resources, resources.index, namespace.project_id, 0)._copy(part, ids)
    assert await held(resources, MULTILINGUAL, ids) == ids
    await execute_sql_as_system(resources, "delete from projects where id = :id", id=namespace.project_id)
    await resources.index.remove(ids)
    assert await resources.index.find_existing(ids) == set()


async def test_repair_and_rebuild_keep_each_project_in_its_index(
    resources: Resources, namespace: Namespace, other_namespace: Namespace
) -> None:
    ids = await add_memories(resources, namespace, *TEXTS)
    others = await add_memories(resources, other_namespace, *TEXTS)
    await wait_until_indexed(resources, namespace)
    await choose(resources, namespace.project_id, "multilingual")
    assert isinstance(resources.index, IndexRouter)
    assert isinstance(resources.embedder, EmbedderRouter)
    [vector] = await resources.embedder.embed_with(ENGLISH, [TEXTS[0]])
    entry = IndexEntry(ids[0], namespace.project_id, str(namespace), vector, TEXTS[0])
    await (await resources.index.index_of(ENGLISH)).upsert([entry])
    assert await remove_orphans(resources) >= 1
    assert await held(resources, ENGLISH, ids) == []
    missing = await mark_missing_pending(resources)
    await (await resources.index.index_of(MULTILINGUAL)).remove(ids[:1])
    assert await mark_missing_pending(resources) == missing + 1
    await rebuild_index(resources)
    await wait_until_indexed(resources, namespace)
    assert await held(resources, MULTILINGUAL, [*ids, *others]) == ids
    assert await held(resources, ENGLISH, [*ids, *others]) == others


async def test_project_without_a_choice_needs_no_second_index(resources: Resources) -> None:
    assert isinstance(resources.index, IndexRouter)
    state = await resources.index.choices.current(uuid.uuid4())
    assert (state.serving, state.written) == (ENGLISH, (ENGLISH,))
