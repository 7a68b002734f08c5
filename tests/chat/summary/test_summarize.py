"""A conversation of two thousand messages: summarised once, and a turn in it costs what a turn in a short one does."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import event

from app.chat.prompt import estimate_tokens
from app.chat.summary.jobs import summarize
from app.core.jobs import defer
from app.core.resources import Resources
from app.main import create_app
from app.worker import run_jobs
from tests.chat.conftest import StartTalk
from tests.chat.conversation import Rows, Talk
from tests.conftest import KeyHolder, client_of
from tests.model_server import ModelServer, Says

MESSAGES = 2000
FILL = """
insert into messages (project_id, user_id, session_id, role, content, created_at)
select s.project_id, s.user_id, s.id, case when mod(n, 2) = 1 then 'user' else 'assistant' end,
  'Message ' || n || ' of ' || s.id || repeat(' and something more', 10), now() - make_interval(secs => 3000 - n)
from sessions s, generate_series(1, {count}) n where s.id = '{session_id}' order by n
"""


async def fill(rows: Rows, session: Talk, count: int) -> None:
    async with rows.admin.begin() as connection:
        await connection.exec_driver_sql(FILL.format(count=count, session_id=session.session_id))


@contextlib.contextmanager
def counting(house: Resources) -> Iterator[list[int]]:
    """How many rows each statement brought, of this house's database alone."""
    brought: list[int] = []
    engine = house.database.engine.sync_engine

    def note(*arguments: object) -> None:
        brought.append(getattr(arguments[1], "rowcount", 0))

    event.listen(engine, "after_cursor_execute", note)
    try:
        yield brought
    finally:
        event.remove(engine, "after_cursor_execute", note)


def tokens_of(asked: dict[str, object]) -> int:
    messages = asked["messages"]
    assert isinstance(messages, list)
    return sum(estimate_tokens(message["content"]) for message in messages)


async def test_a_turn_costs_the_same_after_two_thousand_messages_as_after_a_hundred(
    talk: StartTalk, rows: Rows, house: Resources, server: ModelServer
) -> None:
    costs = []
    for count in (100, MESSAGES):
        session = await talk()
        await fill(rows, session, count)
        await session.say("The first turn rebuilds short-term memory")
        for _ in range(2):
            with counting(house) as brought:
                await session.say("What did we say?")
        costs.append((len(brought), sum(brought)))
        assert tokens_of(server.conversations[-1]) <= house.values.context_tokens
        assert max(brought) <= 100
    assert costs[0] == costs[1]


async def test_the_prompt_keeps_the_newest_words_within_its_budget(
    talk: StartTalk, rows: Rows, house: Resources, server: ModelServer, key: KeyHolder
) -> None:
    small = replace(house, values=replace(house.values, context_tokens=1000))
    client: httpx.AsyncClient = client_of(create_app(small), key.key)
    session = replace(await talk(), client=client)
    await fill(rows, session, 200)
    await session.say("And now?")
    asked = server.conversations[-1]
    assert tokens_of(asked) <= 1000
    assert asked["messages"][-1]["content"] == "And now?"
    assert asked["messages"][-2]["content"].startswith("Message 200 ")
    assert "Message 100 " not in str(asked)


async def test_a_long_history_is_summarised_once_and_remembered(
    talk: StartTalk, rows: Rows, house: Resources, server: ModelServer
) -> None:
    session = await talk()
    await fill(rows, session, MESSAGES)
    await session.say("Let us go on")
    server.always(Says("They talked about something more."))
    async with run_jobs(house, concurrency=2, look_every_seconds=0.1):
        await rows.wait_for("select summary_through is not null from sessions where id = :id", id=session.session_id)
        await nothing_waits(rows, session)
        asked = [body for body in server.conversations if "Summarise" in str(body["messages"][0])]
        for number in (1, 500, 1000, 1900):
            words = f"Message {number} of {session.session_id}"
            assert sum(words in str(body) for body in asked) == 1, "each is read once, none is passed over"
        assert all(tokens_of(body) <= house.values.context_tokens for body in asked)
        spent = (await session.client.get("/v1/usage")).json()
        assert spent["turns"] == 1
        its_own = sum(session.session_id in str(body) for body in asked)  # a worker does other tests' jobs, too
        assert spent["prompt_tokens"] >= 11 * (1 + its_own), "the model says 11 of each"
        await session.say("Still here?")
        asked_before = len(server.conversations)
        later = server.conversations[-1]
        assert "They talked about something more." in later["messages"][0]["content"]
        assert len(later["messages"]) < 40
        await nothing_waits(rows, session)
        await session.say("And now?")
        async with house.database.transaction(session.project_id) as tx:
            await defer(tx, summarize, project_id=str(session.project_id), session_id=session.session_id)
        await nothing_waits(rows, session)
    again = [body for body in server.conversations[asked_before:] if "Summarise" in str(body["messages"][0])]
    assert again == []


async def nothing_waits(rows: Rows, session: Talk) -> None:
    await rows.wait_for(
        "select not exists (select from jobs.procrastinate_jobs where args ->> 'session_id' = :id"
        " and status in ('todo', 'doing'))",
        id=session.session_id,
    )


@pytest.mark.parametrize("mode", ["pause_memories", "incognito"])
async def test_only_a_conversation_in_normal_mode_is_summarised(mode: str, talk: StartTalk, rows: Rows) -> None:
    session = await talk(mode)
    await fill(rows, session, 100)
    await session.say("Let us go on")
    assert await rows.jobs(session.project_id) == 0
