import asyncio
import datetime as dt
import math
import uuid
from dataclasses import replace

import pytest

from app.core.resources import Resources
from app.memory.filters import parse_filters
from app.memory.forget import forget
from app.memory.ledger import Kind, NewMemory
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.recall.ranking import PARTS
from app.memory.recall.search import PREFILTER_LIMIT, Question, recall
from app.memory.remember import remember
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    new_project,
    put_vector,
    search,
    wait_until_indexed,
)
from tests.patience import succeeds

GONE = {
    "archived": "update memories set archived_at = now() where id = :id",
    "expired": "update memories set expires_on = current_date - 1 where id = :id",
    "deleted": "delete from memories where id = :id",
}


async def test_recall_returns_every_part_of_a_score(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, "I like green tea", importance=0.9)
    (found,) = await search(resources, namespace, "What tea do I like?")
    assert set(found.parts) == set(PARTS)
    assert found.score == pytest.approx(1 / (1 + math.exp(-sum(found.parts.values()))))


async def test_recall_omits_scores_below_the_threshold(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, "I like green tea", "The train to Lisbon leaves at noon")
    best, worst = await search(resources, namespace, "green tea")
    assert best.score > worst.score
    between = (best.score + worst.score) / 2
    assert contents(await search(resources, namespace, "green tea", threshold=between)) == ["I like green tea"]
    assert await search(resources, namespace, "green tea", threshold=1.0) == []


async def test_threshold_keeps_a_relevant_memory_among_many_rivals(resources: Resources, namespace: Namespace) -> None:
    """Rivals make each memory less likely to be the one that answers, and no less relevant."""
    await add_memories(resources, namespace, *(f"I own book number {n}" for n in range(40)), "It rains")
    await wait_until_indexed(resources, namespace)
    *books, rain = await search(resources, namespace, "Which book do I own?", top_k=41)
    between = (books[-1].relevance + rain.relevance) / 2
    assert books[-1].score < between
    found = await search(resources, namespace, "Which book do I own?", top_k=41, threshold=between)
    assert contents(found) == contents(books)


async def test_recall_returns_at_most_top_k(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, *(f"I own book number {n}" for n in range(20)))
    await wait_until_indexed(resources, namespace)
    assert [len(await search(resources, namespace, "book", top_k=k)) for k in (1, 7, 20, 100)] == [1, 7, 20, 20]


async def test_recall_in_an_empty_namespace_returns_nothing(resources: Resources, namespace: Namespace) -> None:
    assert await search(resources, namespace, "anything") == []
    assert await search(resources, namespace, "anything", filter=parse_filters({"run_id": "x"})) == []


async def test_recall_searches_the_named_namespaces_and_no_other(resources: Resources, namespace: Namespace) -> None:
    ben, cleo = [await create_namespace(resources, namespace.project_id, name) for name in ("ben", "cleo")]
    for each in (namespace, ben, cleo):
        await add_memories(resources, each, f"{each.user_id} likes tea")
    found = await recall(resources, Question(namespace.project_id, "tea", (namespace, ben)))
    assert sorted(contents(found)) == ["ann likes tea", "ben likes tea"]


async def test_recall_searches_a_whole_project_and_no_other(resources: Resources, namespace: Namespace) -> None:
    ben = await create_namespace(resources, namespace.project_id, "ben")
    stranger = await create_namespace(resources, await new_project(resources), "ann")
    for each in (namespace, ben, stranger):
        await add_memories(
            resources, each, f"{each.user_id} likes tea in {each.project_id}", origin=Origin(agent_id="shop")
        )
    question = Question(namespace.project_id, "tea", None, filter=parse_filters({"agent_id": "shop"}))
    assert {each.memory.user_id for each in await recall(resources, question)} == {"ann", "ben"}
    assert {each.memory.project_id for each in await recall(resources, replace(question, filter=None))} == {
        namespace.project_id
    }


async def test_recall_for_a_pinned_user_returns_only_that_users_memories(
    resources: Resources, namespace: Namespace
) -> None:
    ben = await create_namespace(resources, namespace.project_id, "ben")
    for each in (namespace, ben):
        await add_memories(resources, each, f"{each.user_id} likes tea")
    whole = Question(namespace.project_id, "tea", None, user_id="ben")
    both = Question(namespace.project_id, "tea", (namespace, ben), user_id="ben")
    for question in (whole, both, replace(both, filter=parse_filters({"user_id": "*"}))):
        assert contents(await recall(resources, question)) == ["ben likes tea"]


async def test_narrow_filter_finds_memories_far_from_the_question(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, *(f"I like tea of kind {n}" for n in range(300)))
    await add_memories(resources, namespace, "The roof leaks", origin=Origin(run_id="repairs"))
    await wait_until_indexed(resources, namespace)
    found = await search(resources, namespace, "I like tea", filter=parse_filters({"run_id": "repairs"}), top_k=5)
    assert contents(found) == ["The roof leaks"]


async def test_wide_filter_still_fills_the_answer(resources: Resources, namespace: Namespace) -> None:
    """Most match, but the nearest hundreds are all of those that do not. A name before a colon is not embedded."""
    new = [NewMemory(f"Tea {n}: the kettle boils", origin=Origin(run_id="tea")) for n in range(600)]
    new += [NewMemory(f"Item {n}: a plain thing", origin=Origin(run_id="things")) for n in range(PREFILTER_LIMIT + 100)]
    await remember(resources, namespace, new)
    await wait_until_indexed(resources, namespace)
    found = await search(resources, namespace, "the kettle boils", filter=parse_filters({"run_id": "things"}), top_k=10)
    assert len(found) == 10
    assert {each.memory.run_id for each in found} == {"things"}
    assert (
        len(await search(resources, namespace, "the kettle boils", filter=parse_filters({"NOT": [{"run_id": "no"}]})))
        == 10
    )


@pytest.mark.parametrize("statement", GONE.values(), ids=GONE)
async def test_recall_omits_invisible_memories_that_the_index_still_holds(
    resources: Resources, namespace: Namespace, statement: str
) -> None:
    memory_id, _ = await add_memories(resources, namespace, "I like tea", "I like coffee")
    index = await wait_until_indexed(resources, namespace)
    await execute_sql(resources, namespace, statement, id=memory_id)
    assert await index.find_existing([memory_id]) == {memory_id}
    for given in (None, parse_filters({"user_id": "ann"})):
        assert contents(await search(resources, namespace, "I like tea", filter=given)) == ["I like coffee"]


async def test_invisible_memories_do_not_crowd_out_visible_ones(resources: Resources, namespace: Namespace) -> None:
    hidden = await add_memories(resources, namespace, *(f"I like tea number {n}" for n in range(350)))
    await add_memories(resources, namespace, "The roof leaks")
    await wait_until_indexed(resources, namespace)
    await execute_sql(resources, namespace, "update memories set archived_at = now() where id = any(:ids)", ids=hidden)
    assert contents(await search(resources, namespace, "I like tea", top_k=1)) == ["The roof leaks"]


async def test_recall_omits_vectors_without_rows(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, "I like coffee")
    await put_vector(resources, namespace, "I like tea")
    stranger = await create_namespace(resources, await new_project(resources), "ann")
    (foreign,) = await add_memories(resources, stranger, "I like tea")
    ben = await create_namespace(resources, namespace.project_id, "ben")
    (bens,) = await add_memories(resources, ben, "I like tea")
    await wait_until_indexed(resources, stranger)
    await wait_until_indexed(resources, ben)
    await put_vector(resources, namespace, "I like tea", foreign)
    await put_vector(resources, namespace, "I like tea", bens)
    question = Question(namespace.project_id, "I like tea", (namespace,), user_id="ann")
    assert contents(await recall(resources, question)) == ["I like coffee"]


async def test_recall_waits_for_memories_added_before_it(resources: Resources, namespace: Namespace) -> None:
    async def finds_all(scale: float) -> bool:
        """A search waits for two seconds at most. A slow machine embeds fewer memories by then."""
        count, own = int(40 / scale), await create_namespace(resources, namespace.project_id, uuid.uuid4().hex)
        adding = [asyncio.create_task(add_memories(resources, own, f"I own {n} marbles")) for n in range(count)]
        await asyncio.gather(*adding)
        return len(await search(resources, own, "marbles", top_k=100)) == count

    assert await succeeds(finds_all)


async def test_forgotten_memory_is_removed_from_the_index(resources: Resources, namespace: Namespace) -> None:
    (memory_id,) = await add_memories(resources, namespace, "I like tea")
    await wait_until_indexed(resources, namespace)
    await forget(resources, namespace, [memory_id])
    assert await (await wait_until_indexed(resources, namespace)).find_existing([memory_id]) == set()


async def test_recall_ranks_the_newer_of_two_equal_memories_first(resources: Resources, namespace: Namespace) -> None:
    now = dt.datetime.now(dt.UTC)
    for days in (400, 1):
        await add_memories(
            resources,
            namespace,
            "Tea at four",
            created_at=now - dt.timedelta(days=days),
            origin=Origin(run_id=f"{days}"),
        )
    assert [each.memory.run_id for each in await search(resources, namespace, "tea")] == ["1", "400"]


async def test_episode_is_found_by_the_words_of_the_turn_before_it(resources: Resources, namespace: Namespace) -> None:
    await add_memories(resources, namespace, *(f"Remark {n} about nothing" for n in range(120)), kind=Kind.EPISODE)
    await add_memories(resources, namespace, "In Lisbon", kind=Kind.EPISODE, context="Where was your wedding?")
    await wait_until_indexed(resources, namespace)
    assert "In Lisbon" in contents(await search(resources, namespace, "wedding", top_k=10))


async def test_recalled_memory_has_every_field(resources: Resources, namespace: Namespace) -> None:
    await add_memories(
        resources,
        namespace,
        "I like tea",
        metadata={"a": [1, {"b": None}]},
        categories=("food",),
        origin=Origin(agent_id="x"),
    )
    (found,) = await search(resources, namespace, "tea")
    memory = found.memory
    assert (memory.metadata_, memory.categories, memory.agent_id) == ({"a": [1, {"b": None}]}, ["food"], "x")
    assert (memory.project_id, memory.profile_id, memory.user_id) == (namespace.project_id, namespace.profile_id, "ann")
    assert memory.created_at == memory.updated_at
    assert memory.created_at.tzinfo is not None
    assert (memory.immutable, memory.archived_at, memory.replaced_by, memory.accessed_at) == (False, None, None, [])
    assert isinstance(memory.id, uuid.UUID)


async def test_newer_of_two_rivals_ranks_first_though_the_older_is_not_replaced(
    resources: Resources, namespace: Namespace
) -> None:
    """The older one says more than one thing, so the judgement kept it."""
    earlier = dt.datetime.now(dt.UTC) - dt.timedelta(days=100)
    older = NewMemory("My favourite colour is green. I paint my house on Sundays.", created_at=earlier)
    await remember(resources, namespace, [older, NewMemory("My favourite colour is blue")])
    found = await search(resources, namespace, "What colour is my favourite for the house I paint?")
    assert contents(found) == ["My favourite colour is blue", older.content]
    assert found[0].parts["rivals"] > 0 > found[1].parts["rivals"]


async def test_question_for_a_time_alone_lists_what_was_said_then(resources: Resources, namespace: Namespace) -> None:
    now = dt.datetime(2026, 5, 20, 12, tzinfo=dt.UTC)
    for hours, text in (
        (50, "My train leaves at six"),
        (30, "I fly gliders"),
        (3, "The soup was salty"),
        (1, "Mia called"),
    ):
        await add_memories(resources, namespace, text, created_at=now - dt.timedelta(hours=hours))
    elsewhere = await create_namespace(resources, namespace.project_id, "bob")
    await add_memories(resources, elsewhere, "I am Bob", created_at=now)
    found = await search(resources, namespace, "What did I say today?", at=now, threshold=None)
    assert contents(found) == ["Mia called", "The soup was salty"]
    assert contents(await search(resources, namespace, "¿Qué dije ayer?", at=now)) == ["I fly gliders"]
    assert contents(await search(resources, namespace, "What did I say in May?", at=now, top_k=1)) == ["Mia called"]
    only = parse_filters({"created_at": {"lt": (now - dt.timedelta(hours=2)).isoformat()}})
    assert contents(await search(resources, namespace, "today", at=now, filter=only)) == ["The soup was salty"]
