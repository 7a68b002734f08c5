"""Forgetting on request: named, confirmed, and then gone from rows, history and index."""

import asyncio
import uuid

from app.core.ports import SearchScope
from app.core.resources import Resources
from app.memory.ledger.new_memory import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.chat.conftest import StartTalk
from tests.chat.conversation import Rows, Talk
from tests.model_server import ModelServer


def home_of(session: Talk) -> Namespace:
    return Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))


async def vectors_of(house: Resources, namespace: Namespace) -> int:
    await house.index_queue.settled(namespace.project_id, [str(namespace)])
    scope = SearchScope(namespace.project_id, (str(namespace),))
    [vector] = await house.embedder.embed(["anything"])
    return len(await house.index.similar(scope, vector, 100))


async def test_what_is_meant_is_named_and_erased_only_once_it_is_confirmed(
    talk: StartTalk, house: Resources, server: ModelServer, rows: Rows
) -> None:
    session = await talk()
    words = f"I live in Paris at {uuid.uuid4().hex}"
    await remember(house, home_of(session), [NewMemory(words), NewMemory("The cat is called Mimi")])
    asked = await session.say("Please forget that I live in Paris.")
    assert words in asked["message"]["content"]
    meant = [memory["id"] for memory in asked["forget"]["memories"] if memory["memory"] == words]
    assert len(meant) == 1
    assert (asked["event_id"], asked["will_remember"]) == (None, False)
    assert "public.memories" in await rows.mentioning(words)

    done = await session.say("Yes, please", confirm_forget=meant)
    assert done["forgotten"] == meant
    assert "1 memory" in done["message"]["content"]
    assert await rows.mentioning(words) == ["public.messages"], "the transcript alone still says what was asked"
    assert await rows.memories(session.project_id, "fact") == ["The cat is called Mimi"]
    assert await vectors_of(house, home_of(session)) == 1
    assert server.conversations == [], "nobody else needs to hear what is to be forgotten"
    assert "already" in (await session.say("Yes", confirm_forget=meant))["message"]["content"]


async def test_the_wish_and_its_confirmation_teach_nothing(talk: StartTalk, rows: Rows, house: Resources) -> None:
    session = await talk()
    await remember(house, home_of(session), [NewMemory("I live in Paris")])
    before = await rows.jobs(session.project_id, "memory.extract")
    asked = await session.say("Forget that I live in Paris")
    await session.say("Yes", confirm_forget=[memory["id"] for memory in asked["forget"]["memories"]])
    await session.say("Thanks")
    assert await rows.jobs(session.project_id, "memory.extract") == before + 1
    episodes = await rows.memories(session.project_id, "episode")
    assert episodes == ["Thanks", "Hello there."]
    sql = "select count(*) from memories where project_id = :id and context like '%forgotten%'"
    assert await rows.one(sql, id=session.project_id) == 0


async def test_a_stream_asks_for_the_confirmation_too(talk: StartTalk, house: Resources) -> None:
    session = await talk()
    await remember(house, home_of(session), [NewMemory("I live in Paris")])
    events = await session.stream("Forget that I live in Paris")
    assert [event.kind for event in events] == ["recalled", "token", "message", "done"]
    assert [memory["memory"] for memory in events[2].content["forget"]["memories"]] == ["I live in Paris"]


async def test_what_was_only_just_said_is_not_extracted_after_it_was_forgotten(talk: StartTalk, rows: Rows) -> None:
    session = await talk()
    said = await session.say("My PIN is 4711")
    pending = "select count(*) from events where id = :id"
    assert await rows.one(pending, id=said["event_id"]) == 1
    asked = await session.say("Forget my PIN")
    ids = [memory["id"] for memory in asked["forget"]["memories"]]
    await session.say("Yes", confirm_forget=ids)
    assert await rows.one(pending, id=said["event_id"]) == 0
    left = "select count(*) from memories where project_id = :id and concat(content, context) like '%4711%'"
    assert await rows.one(left, id=session.project_id) == 0


async def test_only_memories_of_this_profile_are_meant_and_erased(
    talk: StartTalk, house: Resources, rows: Rows
) -> None:
    session, other = await talk(), await talk()
    added = await remember(house, home_of(other), [NewMemory("I live in Paris")])
    asked = await session.say("Forget that I live in Paris")
    assert asked["forget"] is None
    assert "nothing" in asked["message"]["content"]
    done = await session.say("Yes", confirm_forget=[str(added.results[0].id)])
    assert done["forgotten"] == []
    assert await rows.memories(session.project_id, "fact") == ["I live in Paris"]


async def test_incognito_shows_and_erases_nothing_and_says_why(talk: StartTalk, house: Resources, rows: Rows) -> None:
    session = await talk("incognito")
    added = await remember(house, home_of(session), [NewMemory("I live in Paris")])
    asked = await session.say("Forget that I live in Paris")
    assert asked["forget"] is None
    assert "incognito" in asked["message"]["content"]
    await session.say("Yes", confirm_forget=[str(added.results[0].id)])
    assert await rows.memories(session.project_id, "fact") == ["I live in Paris"]


async def test_ordinary_words_go_to_the_model(talk: StartTalk, server: ModelServer) -> None:
    session = await talk()
    await session.say("Don't forget to buy milk")
    assert len(server.conversations) == 1


async def test_two_confirmations_at_once_forget_once(talk: StartTalk, house: Resources) -> None:
    first = await talk(user_id="ann")
    second = await talk(user_id="ann")
    added = await remember(house, home_of(first), [NewMemory("I live in Paris")])
    ids = [str(added.results[0].id)]
    answers = await asyncio.gather(*(each.say("Yes", confirm_forget=ids) for each in (first, second)))
    assert sorted(len(answer["forgotten"]) for answer in answers) == [0, 1]
