import asyncio
import datetime as dt
import math
import uuid
from dataclasses import replace

import pytest

from app.core.resources import Resources
from app.memory.filters.parse import parse_filters
from app.memory.forget import forget
from app.memory.ledger.new_memory import Kind, NewMemory
from app.memory.namespace import Namespace
from app.memory.recall.ranking import PARTS
from app.memory.recall.recall import FEW, Question, recall
from app.memory.remember import remember
from tests.memory.namespaces import ask, contents, execute, keep, move_in, new_project, put_vector, settled

GONE = {
    "archived": "update memories set archived_at = now() where id = :id",
    "expired": "update memories set expires_on = current_date - 1 where id = :id",
    "deleted": "delete from memories where id = :id",
}


async def test_every_part_of_a_score_is_explained(resources: Resources, home: Namespace) -> None:
    await keep(resources, home, "I like green tea", importance=0.9)
    (found,) = await ask(resources, home, "What tea do I like?")
    assert set(found.parts) == set(PARTS)
    assert found.score == pytest.approx(1 / (1 + math.exp(-sum(found.parts.values()))))


async def test_what_scores_below_the_threshold_is_left_out(resources: Resources, home: Namespace) -> None:
    await keep(resources, home, "I like green tea", "The train to Lisbon leaves at noon")
    best, worst = await ask(resources, home, "green tea")
    assert best.score > worst.score
    between = (best.score + worst.score) / 2
    assert contents(await ask(resources, home, "green tea", threshold=between)) == ["I like green tea"]
    assert await ask(resources, home, "green tea", threshold=1.0) == []


async def test_no_more_are_returned_than_were_asked_for(resources: Resources, home: Namespace) -> None:
    await keep(resources, home, *(f"I own book number {n}" for n in range(20)))
    assert [len(await ask(resources, home, "book", top_k=k)) for k in (1, 7, 20, 100)] == [1, 7, 20, 20]


async def test_an_empty_namespace_has_nothing_to_say(resources: Resources, home: Namespace) -> None:
    assert await ask(resources, home, "anything") == []
    assert await ask(resources, home, "anything", filter=parse_filters({"run_id": "x"})) == []


async def test_several_namespaces_are_asked_together_and_no_other(resources: Resources, home: Namespace) -> None:
    ben, cleo = [await move_in(resources, home.project_id, name) for name in ("ben", "cleo")]
    for each in (home, ben, cleo):
        await keep(resources, each, f"{each.user_id} likes tea")
    found = await recall(resources, Question(home.project_id, "tea", (home, ben)))
    assert sorted(contents(found)) == ["ann likes tea", "ben likes tea"]


async def test_a_whole_project_is_asked_and_never_another(resources: Resources, home: Namespace) -> None:
    ben = await move_in(resources, home.project_id, "ben")
    stranger = await move_in(resources, await new_project(resources), "ann")
    for each in (home, ben, stranger):
        await keep(resources, each, f"{each.user_id} likes tea in {each.project_id}", agent_id="shop")
    question = Question(home.project_id, "tea", None, filter=parse_filters({"agent_id": "shop"}))
    assert {each.memory.user_id for each in await recall(resources, question)} == {"ann", "ben"}
    assert {each.memory.project_id for each in await recall(resources, replace(question, filter=None))} == {
        home.project_id
    }


async def test_a_caller_pinned_to_a_user_sees_nobody_else(resources: Resources, home: Namespace) -> None:
    ben = await move_in(resources, home.project_id, "ben")
    for each in (home, ben):
        await keep(resources, each, f"{each.user_id} likes tea")
    whole = Question(home.project_id, "tea", None, user_id="ben")
    both = Question(home.project_id, "tea", (home, ben), user_id="ben")
    for question in (whole, both, replace(both, filter=parse_filters({"user_id": "*"}))):
        assert contents(await recall(resources, question)) == ["ben likes tea"]


async def test_a_narrow_filter_finds_what_is_far_from_the_question(resources: Resources, home: Namespace) -> None:
    await keep(resources, home, *(f"I like tea of kind {n}" for n in range(300)))
    await keep(resources, home, "The roof leaks", run_id="repairs")
    found = await ask(resources, home, "I like tea", filter=parse_filters({"run_id": "repairs"}), top_k=5)
    assert contents(found) == ["The roof leaks"]


async def test_a_filter_that_leaves_more_than_a_few_rows_still_fills_the_answer(
    resources: Resources, home: Namespace
) -> None:
    """Most match, but the nearest hundreds are all of those that do not. A name before a colon is not embedded."""
    new = [NewMemory(f"Tea {n}: the kettle boils", run_id="tea") for n in range(600)]
    new += [NewMemory(f"Item {n}: a plain thing", run_id="things") for n in range(FEW + 100)]
    await remember(resources, home, new)
    found = await ask(resources, home, "the kettle boils", filter=parse_filters({"run_id": "things"}), top_k=10)
    assert len(found) == 10
    assert {each.memory.run_id for each in found} == {"things"}
    assert len(await ask(resources, home, "the kettle boils", filter=parse_filters({"NOT": [{"run_id": "no"}]}))) == 10


@pytest.mark.parametrize("statement", GONE.values(), ids=GONE)
async def test_what_may_not_be_seen_does_not_surface_though_the_index_still_has_it(
    resources: Resources, home: Namespace, statement: str
) -> None:
    memory_id, _ = await keep(resources, home, "I like tea", "I like coffee")
    index = await settled(resources, home)
    await execute(resources, home, statement, id=memory_id)
    assert await index.present([memory_id]) == {memory_id}
    for given in (None, parse_filters({"user_id": "ann"})):
        assert contents(await ask(resources, home, "I like tea", filter=given)) == ["I like coffee"]


async def test_what_may_not_be_seen_does_not_take_the_place_of_what_may(resources: Resources, home: Namespace) -> None:
    hidden = await keep(resources, home, *(f"I like tea number {n}" for n in range(350)))
    await keep(resources, home, "The roof leaks")
    await settled(resources, home)
    await execute(resources, home, "update memories set archived_at = now() where id = any(:ids)", ids=hidden)
    assert contents(await ask(resources, home, "I like tea", top_k=1)) == ["The roof leaks"]


async def test_vectors_that_nobody_owns_do_not_surface(resources: Resources, home: Namespace) -> None:
    await keep(resources, home, "I like coffee")
    await put_vector(resources, home, "I like tea")
    stranger = await move_in(resources, await new_project(resources), "ann")
    (foreign,) = await keep(resources, stranger, "I like tea")
    ben = await move_in(resources, home.project_id, "ben")
    (bens,) = await keep(resources, ben, "I like tea")
    await settled(resources, stranger)
    await settled(resources, ben)
    await put_vector(resources, home, "I like tea", foreign)
    await put_vector(resources, home, "I like tea", bens)
    question = Question(home.project_id, "I like tea", (home,), user_id="ann")
    assert contents(await recall(resources, question)) == ["I like coffee"]


async def test_a_search_waits_for_what_was_put_before_it(resources: Resources, home: Namespace) -> None:
    adding = [asyncio.create_task(keep(resources, home, f"I own {n} marbles")) for n in range(40)]
    await asyncio.gather(*adding)
    assert len(await ask(resources, home, "marbles", top_k=100)) == 40


async def test_a_forgotten_memory_is_gone_from_the_index_too(resources: Resources, home: Namespace) -> None:
    (memory_id,) = await keep(resources, home, "I like tea")
    await settled(resources, home)
    await forget(resources, home, [memory_id])
    assert await (await settled(resources, home)).present([memory_id]) == set()


async def test_the_newer_of_two_alike_comes_first(resources: Resources, home: Namespace) -> None:
    now = dt.datetime.now(dt.UTC)
    for days in (400, 1):
        await keep(resources, home, "Tea at four", created_at=now - dt.timedelta(days=days), run_id=f"{days}")
    assert [each.memory.run_id for each in await ask(resources, home, "tea")] == ["1", "400"]


async def test_an_episode_is_found_by_the_words_of_the_turn_before_it(resources: Resources, home: Namespace) -> None:
    await keep(resources, home, *(f"Remark {n} about nothing" for n in range(120)), kind=Kind.EPISODE)
    await keep(resources, home, "In Lisbon", kind=Kind.EPISODE, context="Where was your wedding?")
    assert "In Lisbon" in contents(await ask(resources, home, "wedding", top_k=10))


async def test_what_is_shown_is_whole(resources: Resources, home: Namespace) -> None:
    await keep(resources, home, "I like tea", metadata={"a": [1, {"b": None}]}, categories=("food",), agent_id="x")
    (found,) = await ask(resources, home, "tea")
    memory = found.memory
    assert (memory.metadata_, memory.categories, memory.agent_id) == ({"a": [1, {"b": None}]}, ["food"], "x")
    assert (memory.project_id, memory.profile_id, memory.user_id) == (home.project_id, home.profile_id, "ann")
    assert memory.created_at == memory.updated_at
    assert memory.created_at.tzinfo is not None
    assert (memory.immutable, memory.archived_at, memory.replaced_by, memory.accessed_at) == (False, None, None, [])
    assert isinstance(memory.id, uuid.UUID)
