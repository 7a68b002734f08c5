"""Forgetting on request: memories are listed, confirmed, and then deleted from rows, history and index."""

import asyncio
import datetime as dt
import uuid

import pytest

from app.core.ports import SearchScope
from app.core.resources import Resources
from app.memory.archive import archive_memory
from app.memory.edit import Owner
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.chat.conftest import StartConversation
from tests.chat.conversation import AdminRows, Conversation
from tests.model_server import ModelServer


def namespace_of(session: Conversation) -> Namespace:
    return Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))


async def vectors_of(chat_resources: Resources, namespace: Namespace) -> int:
    await chat_resources.index_queue.wait_until_indexed(namespace.project_id, [str(namespace)])
    scope = SearchScope(namespace.project_id, (str(namespace),))
    [vector] = await chat_resources.embedder.embed(["anything"])
    return len(await chat_resources.index.find_similar(scope, vector, 100))


@pytest.mark.plain_rows
async def test_matching_memories_are_listed_and_deleted_once_confirmed(
    conversation: StartConversation, chat_resources: Resources, model_server: ModelServer, admin_rows: AdminRows
) -> None:
    session = await conversation()
    words = f"I live in Paris at {uuid.uuid4().hex}"
    await remember(chat_resources, namespace_of(session), [NewMemory(words), NewMemory("The cat is called Mimi")])
    reply = await session.send("Please forget that I live in Paris.")
    assert words in reply["message"]["content"]
    matching = [memory["id"] for memory in reply["forget"]["memories"] if memory["memory"] == words]
    assert len(matching) == 1
    assert (reply["event_id"], reply["will_remember"]) == (None, False)
    assert "public.memories" in await admin_rows.tables_containing(words)

    done = await session.send("Yes, please", confirm_forget=matching)
    assert done["forgotten"] == matching
    assert "1 memory" in done["message"]["content"]
    assert await admin_rows.tables_containing(words) == ["public.messages"], (
        "only the transcript still contains the message"
    )
    assert await admin_rows.memory_contents(session.project_id, "fact") == ["The cat is called Mimi"]
    assert await vectors_of(chat_resources, namespace_of(session)) == 1
    assert model_server.conversations == [], "requests to forget are not sent to the model"
    assert "already" in (await session.send("Yes", confirm_forget=matching))["message"]["content"]


@pytest.mark.plain_rows
async def test_request_to_forget_and_its_confirmation_are_not_memorized(
    conversation: StartConversation, admin_rows: AdminRows, chat_resources: Resources
) -> None:
    session = await conversation()
    await remember(chat_resources, namespace_of(session), [NewMemory("I live in Paris")])
    before = await admin_rows.count_jobs(session.project_id, "memory.extract")
    reply = await session.send("Forget that I live in Paris")
    await session.send("Yes", confirm_forget=[memory["id"] for memory in reply["forget"]["memories"]])
    await session.send("I like tea")
    assert await admin_rows.count_jobs(session.project_id, "memory.extract") == before + 1
    episodes = await admin_rows.memory_contents(session.project_id, "episode")
    assert episodes == ["I like tea"]
    sql = (
        "select count(*) from memories where project_id = :id and (context like '%Deleted%' or context like '%delete%')"
    )
    assert await admin_rows.select_value(sql, id=session.project_id) == 0


async def test_questions_and_greetings_are_messages_and_no_memories(
    conversation: StartConversation, admin_rows: AdminRows
) -> None:
    session = await conversation()
    for message in ("Hello!", "Where do I live?", "I live in Paris", "Wo wohne ich?", "Thanks a lot"):
        await session.send(message)
    assert await admin_rows.memory_contents(session.project_id, "episode") == ["I live in Paris"]


async def test_confirmation_can_be_requested_in_a_stream(
    conversation: StartConversation, chat_resources: Resources
) -> None:
    session = await conversation()
    await remember(chat_resources, namespace_of(session), [NewMemory("I live in Paris")])
    events = await session.stream("Forget that I live in Paris")
    assert [event.kind for event in events] == ["recalled", "token", "message", "done"]
    assert [memory["memory"] for memory in events[2].content["forget"]["memories"]] == ["I live in Paris"]


async def test_pending_extraction_of_a_forgotten_message_is_cancelled(
    conversation: StartConversation, admin_rows: AdminRows
) -> None:
    session = await conversation()
    first = await session.send("My PIN is 4711")
    pending = "select count(*) from events where id = :id"
    assert await admin_rows.select_value(pending, id=first["event_id"]) == 1
    reply = await session.send("Forget my PIN")
    ids = [memory["id"] for memory in reply["forget"]["memories"]]
    await session.send("Yes", confirm_forget=ids)
    assert await admin_rows.select_value(pending, id=first["event_id"]) == 0
    left = "select count(*) from memories where project_id = :id and concat(content, context) like '%4711%'"
    assert await admin_rows.select_value(left, id=session.project_id) == 0


@pytest.mark.plain_rows
async def test_forgetting_is_limited_to_the_profile(
    conversation: StartConversation, chat_resources: Resources, admin_rows: AdminRows
) -> None:
    session, other = await conversation(), await conversation()
    added = await remember(chat_resources, namespace_of(other), [NewMemory("I live in Paris")])
    reply = await session.send("Forget that I live in Paris")
    assert reply["forget"] is None
    assert "nothing" in reply["message"]["content"]
    done = await session.send("Yes", confirm_forget=[str(added.results[0].id)])
    assert done["forgotten"] == []
    assert await admin_rows.memory_contents(session.project_id, "fact") == ["I live in Paris"]


@pytest.mark.plain_rows
async def test_incognito_neither_lists_nor_deletes_memories(
    conversation: StartConversation, chat_resources: Resources, admin_rows: AdminRows
) -> None:
    session = await conversation("incognito")
    added = await remember(chat_resources, namespace_of(session), [NewMemory("I live in Paris")])
    reply = await session.send("Forget that I live in Paris")
    assert reply["forget"] is None
    assert "incognito" in reply["message"]["content"]
    await session.send("Yes", confirm_forget=[str(added.results[0].id)])
    assert await admin_rows.memory_contents(session.project_id, "fact") == ["I live in Paris"]


async def test_ordinary_message_goes_to_the_model(conversation: StartConversation, model_server: ModelServer) -> None:
    session = await conversation()
    await session.send("Don't forget to buy milk")
    assert len(model_server.conversations) == 1


async def test_concurrent_confirmations_delete_once(conversation: StartConversation, chat_resources: Resources) -> None:
    first = await conversation(user_id="ann")
    second = await conversation(user_id="ann")
    added = await remember(chat_resources, namespace_of(first), [NewMemory("I live in Paris")])
    ids = [str(added.results[0].id)]
    answers = await asyncio.gather(*(each.send("Yes", confirm_forget=ids) for each in (first, second)))
    assert sorted(len(answer["forgotten"]) for answer in answers) == [0, 1]


async def test_copies_and_echoes_are_one_group_and_nothing_else_is_offered(
    conversation: StartConversation, chat_resources: Resources
) -> None:
    session = await conversation()
    texts = ["I run marathons", "User runs marathons.", "You told me that you run marathons", "I run a bakery"]
    others = ["I bought running shoes", "I like long walks", "My sister lives in Lisbon"]
    await remember(chat_resources, namespace_of(session), [NewMemory(each) for each in texts + others])
    question = (await session.send("Forget that I run marathons"))["forget"]
    assert {each["memory"] for each in question["memories"]} == set(texts[:3])
    assert [len(group["ids"]) for group in question["groups"]] == [3]
    assert (await session.send("Forget my shoe size"))["forget"] is None
    assert (await session.send("Forget that I play tennis"))["forget"] is None


async def test_archived_memories_are_offered_too(conversation: StartConversation, chat_resources: Resources) -> None:
    session = await conversation()
    added = await remember(
        chat_resources, namespace_of(session), [NewMemory("I run marathons"), NewMemory("I like tea")]
    )
    await archive_memory(chat_resources, Owner(session.project_id), added.results[0].id)
    question = (await session.send("Forget that I run marathons"))["forget"]
    assert [each["memory"] for each in question["memories"]] == ["I run marathons"]


async def test_messages_that_contain_the_memories_are_counted_and_deleted_on_request(
    conversation: StartConversation, chat_resources: Resources, admin_rows: AdminRows, model_server: ModelServer
) -> None:
    words = f"My code name is {uuid.uuid4().hex}"
    session, other = await conversation(user_id="ann"), await conversation(user_id="ann")
    for each in (other, session):
        await each.send(words)
    question = (await session.send("Forget my code name"))["forget"]
    assert question["messages"] == 2
    ids = [each["id"] for each in question["memories"]]
    done = await session.send("Yes", confirm_forget=ids, forget_messages=True)
    assert "So were 2 messages" in done["message"]["content"]
    assert await admin_rows.tables_containing(words) == []
    assert [each["content"] for each in await other.list_messages()] == ["Hello there."]
    await session.send("Hello")
    assert words not in str(model_server.conversations[-1]), "the window has forgotten it, too"


async def test_memory_without_words_is_in_no_message(
    conversation: StartConversation, chat_resources: Resources
) -> None:
    session = await conversation(user_id="ann")
    await session.send("My code name is Heron")
    [dots] = (await remember(chat_resources, namespace_of(session), [NewMemory("...")])).results
    done = await session.send("Yes", confirm_forget=[str(dots.id)], forget_messages=True)
    assert done["message"]["content"].startswith("Deleted 1 memory permanently. So were 0 messages")
    assert (await session.list_messages())[0]["content"] == "My code name is Heron"


@pytest.mark.plain_rows
@pytest.mark.parametrize("extent", ["everything", "today"])
async def test_everything_is_deleted_after_an_explicit_confirmation_only(
    extent: str, conversation: StartConversation, chat_resources: Resources, admin_rows: AdminRows
) -> None:
    session, other = await conversation(), await conversation()
    old = NewMemory("I live in Paris", created_at=dt.datetime(2024, 5, 1, tzinfo=dt.UTC))
    await remember(chat_resources, namespace_of(session), [old, NewMemory("I like tea"), NewMemory("I have a cat")])
    await remember(chat_resources, namespace_of(other), [NewMemory("I like jazz")])
    asked = await session.send("Forget everything you know about me" if extent == "everything" else "Forget today")
    count = 3 if extent == "everything" else 2
    assert (asked["forget"]["count"], asked["forget"]["all"]) == (count, extent)
    assert f"{count} memories" in asked["message"]["content"]
    assert len(await admin_rows.memory_contents(session.project_id, "fact")) == 4
    done = await session.send("Yes, everything", confirm_forget_all=extent)
    assert len(done["forgotten"]) == count
    left = ["I like jazz"] if extent == "everything" else ["I live in Paris", "I like jazz"]
    assert await admin_rows.memory_contents(session.project_id, "fact") == left
