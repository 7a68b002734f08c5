import asyncio
import datetime as dt
import uuid

import httpx
import pytest

from app.core.errors import BadRequest
from app.core.ports import Candidate, Role, SearchScope
from app.core.resources import Resources
from app.memory.edit import Owner, change_memory
from app.memory.forget import forget
from app.memory.indexing import load_upserts
from app.memory.ledger import Kind, NewMemory, Outcome, Source
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.remember import remember
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    load_event,
    load_history,
    load_memory,
    search,
    wait_until_indexed,
)
from tests.patience import PATIENCE_SECONDS

LANGUAGES = ["Ich wohne in Köln 🏰", "私は東京に住んでいます", "أحب القهوة", "Я люблю чай", "मुझे चाय पसंद है"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(Source.USER, Source.IMPORT, "import"), (Source.TOOL, Source.USER, "tool"), (None, Source.ASSISTANT, "assistant")],
    ids=["user, import", "tool, user", "unknown, assistant"],
)
async def test_less_trusted_source_of_a_repeated_memory_is_kept(
    resources: Resources, namespace: Namespace, first: Source | None, second: Source, kept: str
) -> None:
    added = await remember(resources, namespace, [NewMemory("I like tea", source=first)])
    if first is None:
        sql = "update memories set source = null where project_id = :project_id"
        await execute_sql(resources, namespace, sql, project_id=namespace.project_id)
    repeated = await remember(resources, namespace, [NewMemory("I like tea", source=second)])
    assert [each.outcome for each in repeated.results] == [Outcome.DUPLICATE]
    row = await load_memory(resources, namespace, added.results[0].id)
    assert row is not None
    assert row.source == kept


async def test_remember_stores_content_and_attributes_unchanged(resources: Resources, namespace: Namespace) -> None:
    new = NewMemory(
        "  My cat's name is\tMio\n",
        kind=Kind.EPISODE,
        role=Role.ASSISTANT,
        context="What is its name?",
        origin=Origin(agent_id="a", app_id="b", run_id="c"),
        metadata={"deep": {"list": [1, None, "ü"]}, "": 0, "big": 10**20, "no": False},
        categories=("pets",),
        importance=0.25,
        expires_on=dt.date(2999, 1, 1),
        created_at=dt.datetime(2020, 2, 29, 23, 59, 59, 999999, tzinfo=dt.UTC),
    )
    added = await remember(resources, namespace, [new])
    row = await load_memory(resources, namespace, new.id)
    assert row is not None
    assert [(each.id, each.outcome) for each in added.results] == [(new.id, Outcome.ADDED)]
    assert (row.content, row.kind, row.role, row.context) == (new.content, "episode", "assistant", new.context)
    assert (row.agent_id, row.app_id, row.run_id, row.user_id) == ("a", "b", "c", "ann")
    assert row.metadata_ == new.metadata
    assert (row.categories, row.importance, row.expires_on, row.created_at) == (
        ["pets"],
        0.25,
        new.expires_on,
        new.created_at,
    )


@pytest.mark.parametrize("content", LANGUAGES)
async def test_remember_stores_and_finds_any_language(resources: Resources, namespace: Namespace, content: str) -> None:
    await add_memories(resources, namespace, *LANGUAGES)
    assert contents(await search(resources, namespace, content))[0] == content


async def test_event_of_remember_names_the_memories(resources: Resources, namespace: Namespace) -> None:
    first = await remember(resources, namespace, [NewMemory("I like tea")])
    both = await remember(resources, namespace, [NewMemory("I like tea"), NewMemory("I like cake")])
    event = await load_event(resources, namespace, both.event_id)
    assert event.status == "SUCCEEDED"
    assert event.completed_at is not None
    assert event.results == [
        {"id": str(first.results[0].id), "event": "NONE"},
        {"id": str(both.results[1].id), "event": "ADD"},
    ]


async def test_repeated_content_is_reported_as_duplicate_of_the_first(
    resources: Resources, namespace: Namespace
) -> None:
    (first,) = await add_memories(resources, namespace, "I like tea")
    again = await remember(resources, namespace, [NewMemory(" I  like tea ")])
    assert [(each.id, each.outcome, each.content) for each in again.results] == [
        (first, Outcome.DUPLICATE, "I like tea")
    ]
    assert [each.event for each in await load_history(resources, namespace, first)] == ["ADD", "REPEAT"]


@pytest.mark.parametrize("other", [{"agent_id": "a"}, {"app_id": "a"}, {"run_id": "a"}])
async def test_same_content_of_another_origin_is_not_a_duplicate(
    resources: Resources, namespace: Namespace, other: dict[str, str]
) -> None:
    (first,) = await add_memories(resources, namespace, "I like tea")
    (second,) = await add_memories(resources, namespace, "I like tea", origin=Origin(**other))
    elsewhere = await create_namespace(resources, namespace.project_id, "ben")
    (third,) = await add_memories(resources, elsewhere, "I like tea")
    assert len({first, second, third}) == 3


async def test_expired_memory_does_not_block_the_same_content(resources: Resources, namespace: Namespace) -> None:
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    (first,) = await add_memories(resources, namespace, "I like tea", expires_on=yesterday)
    (second,) = await add_memories(resources, namespace, "I like tea")
    assert first != second


async def test_content_repeated_in_one_call_is_stored_once(resources: Resources, namespace: Namespace) -> None:
    new = [NewMemory(words) for words in ("I like tea", "I like cake", "I like tea")]
    added = await remember(resources, namespace, new)
    assert [each.id for each in added.results] == [new[0].id, new[1].id, new[0].id]
    assert [each.outcome for each in added.results] == [Outcome.ADDED, Outcome.ADDED, Outcome.DUPLICATE]
    assert len(await search(resources, namespace, "What do I like?")) == 2


async def test_remember_without_deduplication_stores_every_memory(resources: Resources, namespace: Namespace) -> None:
    added = await remember(resources, namespace, [NewMemory("Yes"), NewMemory("Yes")], deduplicate=False)
    assert [each.outcome for each in added.results] == [Outcome.ADDED, Outcome.ADDED]


async def test_concurrent_calls_with_the_same_content_store_it_once(resources: Resources, namespace: Namespace) -> None:
    added = await asyncio.gather(
        *(add_memories(resources, namespace, "I like tea", f"I am number {n % 3}") for n in range(24))
    )
    assert len({ids[0] for ids in added}) == 1
    assert len({ids[1] for ids in added}) == 3
    assert len(await search(resources, namespace, "tea")) == 4


async def test_remember_of_nothing_succeeds(resources: Resources, namespace: Namespace) -> None:
    added = await remember(resources, namespace, [])
    assert (await load_event(resources, namespace, added.event_id)).results == []


async def test_next_search_finds_what_was_added(resources: Resources, namespace: Namespace) -> None:
    for number in range(30):
        await add_memories(resources, namespace, f"My lucky number is {number}")
        assert contents(await search(resources, namespace, f"lucky number {number}", top_k=1)) == [
            f"My lucky number is {number}"
        ]


async def test_history_keeps_events_but_no_content_of_deleted_memories(
    resources: Resources, namespace: Namespace
) -> None:
    (memory_id,) = await add_memories(
        resources, namespace, "I like tea", input=({"role": "user", "content": "I like tea"},)
    )
    await change_memory(resources, Owner(namespace.project_id), memory_id, {"content": "I like coffee"})
    changes = [
        (each.event, each.old_memory, each.new_memory) for each in await load_history(resources, namespace, memory_id)
    ]
    assert changes == [("ADD", None, "I like tea"), ("UPDATE", "I like tea", "I like coffee")]
    assert await forget(resources, namespace, [memory_id]) == [memory_id]
    left = await load_history(resources, namespace, memory_id)
    assert [each.event for each in left] == ["ADD", "UPDATE", "DELETE"]
    assert {(each.old_memory, each.new_memory, each.input, each.metadata_) for each in left} == {(None,) * 4}


async def test_changed_memory_is_found_by_its_new_content_only(resources: Resources, namespace: Namespace) -> None:
    (memory_id, _) = await add_memories(resources, namespace, "I keep bees", "I own a red car")
    await change_memory(resources, Owner(namespace.project_id), memory_id, {"content": "I fly gliders"})
    assert contents(await search(resources, namespace, "gliders", top_k=1)) == ["I fly gliders"]
    best = (await search(resources, namespace, "I fly gliders", top_k=1))[0]
    assert best.memory.id == memory_id
    found = {each.id: each for each in await similar(resources, namespace, "I keep bees")}
    assert (found[memory_id].similarity or 0) < 0.9


async def similar(resources: Resources, namespace: Namespace, words: str) -> list[Candidate]:
    (vector,) = await resources.embedder.embed([words])
    return await (await wait_until_indexed(resources, namespace)).find_similar(
        SearchScope(namespace.project_id, (str(namespace),)), vector, 10
    )


async def test_immutable_memory_can_be_deleted_but_not_changed(resources: Resources, namespace: Namespace) -> None:
    (memory_id,) = await add_memories(resources, namespace, "I like tea", immutable=True)
    with pytest.raises(BadRequest, match="immutable"):
        await change_memory(resources, Owner(namespace.project_id), memory_id, {"content": "I like coffee"})
    assert await forget(resources, namespace, [memory_id]) == [memory_id]


async def test_memory_is_visible_through_its_expiry_day(resources: Resources, namespace: Namespace) -> None:
    today = dt.datetime.now(dt.UTC).date()
    await add_memories(resources, namespace, "I have until today", expires_on=today)
    await add_memories(resources, namespace, "I had until yesterday", expires_on=today - dt.timedelta(days=1))
    assert contents(await search(resources, namespace, "until")) == ["I have until today"]
    assert len(await search(resources, namespace, "until", show_expired=True)) == 2


async def test_ledger_and_index_agree_after_concurrent_changes(resources: Resources, namespace: Namespace) -> None:
    async def change_one(number: int) -> uuid.UUID | None:
        (memory_id,) = await add_memories(resources, namespace, f"Thing {number} of mine")
        words = {"content": f"Changed thing {number}"}
        owner = Owner(namespace.project_id)
        await asyncio.gather(*(change_memory(resources, owner, memory_id, words) for _ in range(2)))
        if number % 3:
            return memory_id
        await forget(resources, namespace, [memory_id])
        return None

    ids = await asyncio.gather(*(change_one(number) for number in range(30)))
    kept = {each for each in ids if each}
    await wait_until_indexed(resources, namespace)
    assert {each.memory.id for each in await search(resources, namespace, "thing", top_k=50)} == kept
    rows = [await load_memory(resources, namespace, each) for each in kept]
    assert {row.state for row in rows if row} == {"indexed"}


async def test_cancelled_calls_do_not_block_later_ones(resources: Resources, namespace: Namespace) -> None:
    for _ in range(20):
        task = asyncio.create_task(add_memories(resources, namespace, f"I said {uuid.uuid4()}"))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    (last,) = await add_memories(resources, namespace, "I stayed")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert last in {each.memory.id for each in await search(resources, namespace, "stayed", top_k=50)}


@pytest.mark.parametrize("where", ["content", "metadata"])
async def test_text_that_postgres_cannot_store_is_refused(client: httpx.AsyncClient, where: str) -> None:
    words = "nul \x00 in it"
    message = {"role": "user", "content": words if where == "content" else "fine"}
    body = {"messages": [message], "user_id": "ann", "infer": False}
    body |= {"metadata": {"a": words}} if where == "metadata" else {}
    answer = await client.post("/v3/memories/add/", json=body)
    assert answer.status_code in (400, 422)
    assert "NUL" in answer.json()["detail"]


async def test_index_replaces_a_vector_older_than_the_memory(resources: Resources, namespace: Namespace) -> None:
    """Two processes or requests can overtake each other between the commit and the index."""
    (memory_id,) = await add_memories(resources, namespace, "I keep bees")
    old = (await load_upserts(resources.database, namespace.project_id, [memory_id]))[0]
    await change_memory(resources, Owner(namespace.project_id), memory_id, {"content": "I fly gliders"})
    await wait_until_indexed(resources, namespace)
    await resources.index_queue.put([old])
    best = (await similar(resources, namespace, "I fly gliders"))[0]
    assert best.id == memory_id
    assert (best.similarity or 0) > 0.95


async def test_index_removes_a_vector_added_after_its_memory_was_deleted(
    resources: Resources, namespace: Namespace
) -> None:
    (memory_id,) = await add_memories(resources, namespace, "I keep bees")
    old = (await load_upserts(resources.database, namespace.project_id, [memory_id]))[0]
    await forget(resources, namespace, [memory_id])
    await wait_until_indexed(resources, namespace)
    await resources.index_queue.put([old])
    assert await (await wait_until_indexed(resources, namespace)).find_existing([memory_id]) == set()
