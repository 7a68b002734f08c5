"""Long-unused episodes are folded into one memory by a good model, and a bad one has no effect."""

import asyncio
import datetime as dt
import threading
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import select

from app.core.observability.metrics import EPISODE_FOLDS
from app.core.resources import Resources
from app.memory.ledger import Door, Kind, Memory, Source
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.summaries import FoldOutcome, fold_episodes
from app.memory.summaries.by_model import Flaw
from app.memory.summaries.fold import MAX_UNUSABLE
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    load_history,
    load_memory,
    search,
    wait_until_indexed,
)
from tests.memory.summaries.episodes import GOOD, LONG_AGO, SENTENCES, SUMMARY, TRIP, add_episodes
from tests.model_server import Behaviour, Fails, Held, ModelServer, Raw, Refuses, Summary
from tests.patience import PATIENCE_SECONDS


async def fold(resources: Resources, namespace: Namespace, most: int = 5) -> dict[str, int]:
    return (await fold_episodes(resources, namespace.project_id, most=most)).reasons()


async def wait_for_questions(model_server: ModelServer, count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(model_server.summarized) < count:  # noqa: ASYNC110  (the model server is a thread)
            await asyncio.sleep(0.01)


async def load_summaries(resources: Resources, namespace: Namespace) -> list[Memory]:
    async with resources.database.transaction(namespace.project_id) as tx:
        return list(await tx.scalars(select(Memory).where(Memory.kind == Kind.SUMMARY).order_by(Memory.created_at)))


async def successors(resources: Resources, namespace: Namespace, ids: list[UUID]) -> list[UUID | None]:
    rows = [await load_memory(resources, namespace, each) for each in ids]
    return [row.replaced_by for row in rows if row is not None]


async def test_good_summary_replaces_its_episodes_in_recall(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    resources = folding_resources
    ids = await add_episodes(resources, namespace, origin=Origin(run_id="trip"), door=Door.CHAT, importance=0.3)
    (recent,) = await add_memories(resources, namespace, "I work in Faro", kind=Kind.EPISODE)
    await execute_sql(resources, namespace, "update memories set source = 'tool' where id = :id", id=ids[2])
    model_server.summaries(GOOD)
    assert await fold(resources, namespace) == {FoldOutcome.FOLDED: 1}

    [summary] = await load_summaries(resources, namespace)
    assert await successors(resources, namespace, [*ids, recent]) == [summary.id] * 5 + [None]
    assert (summary.content, summary.run_id, summary.door, summary.importance) == (SUMMARY, "trip", "chat", 0.3)
    assert (summary.source, summary.standing) == (Source.TOOL, False), "the lowest trust of its episodes"
    assert summary.created_at == LONG_AGO + dt.timedelta(minutes=4), "no newer than the newest of them"
    await wait_until_indexed(resources, namespace)
    assert set(contents(await search(resources, namespace, "Who lent me money in Porto?"))) <= {
        SUMMARY,
        "I work in Faro",
    }
    earlier = await search(
        resources, namespace, "Who lent me money?", as_of=dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    )
    assert TRIP[1] in contents(earlier)
    assert SUMMARY not in contents(earlier)
    assert [each.event for each in await load_history(resources, namespace, summary.id)] == ["ADD", "REPLACE"]
    assert [each.event for each in await load_history(resources, namespace, ids[0])] == ["ADD", "SUPERSEDE"]
    [sent] = model_server.summarized
    assert f"1. [{LONG_AGO:%Y-%m-%d}] {TRIP[0]}" in sent["messages"][1]["content"]
    assert not model_server.sent_text("I work in Faro")
    assert await fold(resources, namespace) == {}, "nothing is left to fold"


LOST = Summary(SENTENCES[0], nothing=[4])
INVENTED_NAME = Summary((SENTENCES[0][0].replace("Ines", "Bruno"), [1, 2, 3]), SENTENCES[1])
INVENTED_NUMBER = Summary((SENTENCES[0][0].replace("40", "4000"), [1, 2, 3]), SENTENCES[1])
OF_OTHER_EPISODES = Summary((SENTENCES[0][0], [4, 5]), (SENTENCES[1][0], [1, 2, 3]))
BAD_ANSWERS: dict[str, tuple[Behaviour, str]] = {
    "garbage": (Raw("Certainly! Here is the summary."), Flaw.UNREADABLE),
    "cut off": (Raw('{"sentences": [{"text": "The user met'), Flaw.UNREADABLE),
    "a list": (Raw('{"sentences": ["The user met Ines"]}'), Flaw.UNREADABLE),
    "no numbers": (Raw('{"sentences": [{"text": "The user met Ines", "from": ["1"]}]}'), Flaw.UNREADABLE),
    "refusal": (Refuses(), Flaw.UNREADABLE),
    "error": (Fails(500), FoldOutcome.MODEL_FAILED),
    "empty": (Summary(nothing=[1, 2, 3, 4, 5]), Flaw.EMPTY),
    "blank": (Summary((" \u200b", [1, 2, 3, 4, 5])), Flaw.EMPTY),
    "far too long": (Summary((f"{SENTENCES[0][0]} " * 50, [1, 2, 3]), SENTENCES[1]), Flaw.TOO_LONG),
    "unknown episode": (Summary((SENTENCES[0][0], [1, 2, 3, 6]), SENTENCES[1]), Flaw.UNKNOWN_EPISODE),
    "episode left out": (LOST, Flaw.LEFT_OUT),
    "invented name": (INVENTED_NAME, Flaw.INVENTED),
    "invented number": (INVENTED_NUMBER, Flaw.INVENTED),
    "other episodes": (OF_OTHER_EPISODES, Flaw.INVENTED),
    "other words": (Summary(("the weather was sunny and everybody danced", [1, 2, 3, 4, 5])), Flaw.INVENTED),
}


@pytest.mark.parametrize(("behaviour", "reason"), BAD_ANSWERS.values(), ids=list(BAD_ANSWERS))
async def test_bad_answer_has_no_effect_and_a_reason(
    folding_resources: Resources,
    namespace: Namespace,
    model_server: ModelServer,
    behaviour: Behaviour,
    reason: str,
) -> None:
    ids = await add_episodes(folding_resources, namespace)
    model_server.summaries(behaviour)
    counted = EPISODE_FOLDS.labels(reason)._value.get()
    assert await fold(folding_resources, namespace) == {reason: 1}
    assert EPISODE_FOLDS.labels(reason)._value.get() == counted + 1
    assert await successors(folding_resources, namespace, ids) == [None] * 5
    assert await load_summaries(folding_resources, namespace) == []


async def test_bad_model_is_not_asked_on_and_on(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    for month in range(MAX_UNUSABLE + 2):
        await add_episodes(folding_resources, namespace, at=LONG_AGO - dt.timedelta(days=40 * month))
    model_server.summaries(*[Raw("No.")] * (MAX_UNUSABLE + 2))
    assert await fold(folding_resources, namespace, 10) == {Flaw.UNREADABLE: MAX_UNUSABLE}
    assert len(model_server.summarized) == MAX_UNUSABLE


async def test_without_model_or_budget_nothing_happens_and_the_report_says_why(
    resources: Resources, folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    ids = await add_episodes(resources, namespace)
    await add_episodes(resources, namespace, at=LONG_AGO - dt.timedelta(days=40))
    assert await fold(resources, namespace) == {FoldOutcome.NO_MODEL: 1}
    limited = replace(folding_resources, config=replace(resources.config, server_token_budget=0))
    assert await fold(limited, namespace) == {FoldOutcome.OVER_BUDGET: 1}
    assert model_server.requests == []
    assert await successors(resources, namespace, ids) == [None] * 5


MEANWHILE = {
    "recalled": "update memories set accessed_at = array[now()] where id = :id",
    "changed": "update memories set content = 'I met Bo', hash = 'x' where id = :id",
    "deleted": "delete from memories where id = :id",
}


@pytest.mark.parametrize("change", MEANWHILE.values(), ids=list(MEANWHILE))
async def test_episode_that_changes_while_the_model_answers_is_not_folded(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer, change: str
) -> None:
    ids = await add_episodes(folding_resources, namespace)
    released = threading.Event()
    model_server.summaries(Held(released, GOOD))
    folding = asyncio.create_task(fold(folding_resources, namespace))
    await wait_for_questions(model_server, 1)
    await execute_sql(folding_resources, namespace, change, id=ids[0])
    released.set()
    assert await folding == {FoldOutcome.CHANGED: 1}
    assert not any(await successors(folding_resources, namespace, ids))
    assert await load_summaries(folding_resources, namespace) == []


async def test_second_process_folds_nothing_twice(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    await add_episodes(folding_resources, namespace)
    released = threading.Event()
    model_server.summaries(Held(released, GOOD), Held(released, GOOD))
    both = asyncio.gather(*(fold(folding_resources, namespace) for _ in range(2)))
    await wait_for_questions(model_server, 2)
    released.set()
    assert sorted(outcome for outcomes in await both for outcome in outcomes) == [
        FoldOutcome.CHANGED,
        FoldOutcome.FOLDED,
    ]
    assert len(await load_summaries(folding_resources, namespace)) == 1


EXCEPTIONS = {
    "standing": "standing = true",
    "immutable": "immutable = true",
    "superseded": "replaced_by = gen_random_uuid()",
    "expires": "expires_on = current_date + 1",
    "archived": "archived_at = now()",
    "restored": "coexists_with = array[gen_random_uuid()]",
    "changed": "updated_at = now()",
    "recalled": "accessed_at = array[now()]",
    "a fact": "kind = 'fact'",
    "of another agent": "agent_id = 'nurse'",
    "of another run": "run_id = 'other'",
    "with other metadata": """metadata = '{"topic": "food"}'""",
    "of the assistant": "role = 'assistant'",
    "long": "content = repeat('Porto ', 500)",
}


async def test_what_is_never_folded(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    """Of five episodes, one is always an exception, and four are too few for a summary."""
    for number, values in enumerate(EXCEPTIONS.values()):
        other = await create_namespace(folding_resources, namespace.project_id, f"user {number}")
        ids = await add_episodes(folding_resources, other)
        await execute_sql(folding_resources, namespace, f"update memories set {values} where id = :id", id=ids[1])
    held = await create_namespace(folding_resources, namespace.project_id, "held")
    await add_episodes(folding_resources, held)
    hold = "insert into legal_holds (project_id, user_id) values (:project_id, 'held')"
    await execute_sql(folding_resources, namespace, hold, project_id=namespace.project_id)
    assert await fold(folding_resources, namespace) == {}
    await execute_sql(folding_resources, namespace, "delete from legal_holds")
    model_server.summaries(GOOD)
    assert await fold(folding_resources, namespace) == {FoldOutcome.FOLDED: 1}
    assert len(model_server.summarized) == 1
