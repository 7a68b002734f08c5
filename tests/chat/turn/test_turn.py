"""A turn from the question to the answer, whole and streamed, and every way in which it can fail."""

import asyncio
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import httpx
import pytest

from app.adapters.in_process import InProcessCounters, InProcessShortTerm
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.observability.metrics import REGISTRY
from app.core.ports import ChatMessage, ModelOptions, Token, Usage
from app.core.rate_limit import RateLimits, read_limit
from app.core.resources import Resources
from app.main import create_app
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.chat.conftest import StartConversation
from tests.chat.conversation import AdminRows, Conversation, read_events
from tests.conftest import KeyHolder, MakeKey
from tests.loopback import serve_on_loopback
from tests.memory.namespaces import new_project
from tests.model_server import Drops, Fails, Hangs, Held, ModelServer, Says
from tests.patience import PATIENCE_SECONDS

MODES = ["normal", "pause_memories", "incognito"]
AnotherApp = Callable[..., httpx.AsyncClient]


def through(session: Conversation, client: httpx.AsyncClient) -> Conversation:
    return replace(session, client=client)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  # the model server runs in another thread
            await asyncio.sleep(0.01)


# ---------------------------------------------------------------- response


async def test_turn_answer_has_the_documented_shape(conversation: StartConversation, model_server: ModelServer) -> None:
    model_server.chat(Says("Good", " morning"))
    session = await conversation()
    answer = await session.send("Hello")
    assert answer["session_id"] == session.session_id
    assert answer["user_message"] == {"id": answer["user_message"]["id"], "role": "user", "content": "Hello"}
    assert answer["message"] == {"id": answer["message"]["id"], "role": "assistant", "content": "Good morning"}
    assert answer["recalled"] == []
    assert uuid.UUID(answer["event_id"])
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 2}
    assert [message["id"] for message in await session.list_messages()] == [
        answer["user_message"]["id"],
        answer["message"]["id"],
    ]


async def test_stream_sends_recalled_tokens_message_and_done(
    conversation: StartConversation, model_server: ModelServer, chat_resources: Resources
) -> None:
    session = await conversation()
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    await remember(chat_resources, namespace, [NewMemory("My sister Ines lives in Lisbon")])
    model_server.chat(Says("In", " Lisbon", "."))
    events = await session.stream("Where does my sister Ines live?")
    assert [event.kind for event in events] == ["recalled", "token", "token", "token", "message", "done"]
    [recalled] = events[0].content["memories"]
    assert recalled["memory"] == "My sister Ines lives in Lisbon"
    assert 0 < recalled["score"] <= 1
    assert recalled["score_breakdown"]["similarity"] > 0
    assert events[0].content["failed"] is False
    assert "".join(event.content["text"] for event in events[1:4]) == "In Lisbon."
    assert events[4].content["message"]["content"] == "In Lisbon."
    assert events[4].content["recalled"] == [recalled]


async def test_stream_can_be_requested_with_the_accept_header(conversation: StartConversation) -> None:
    session = await conversation()
    response = await session.post("Hello", {"Accept": "text/event-stream"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert read_events(response.text)[-1].kind == "done"


async def test_chat_creates_a_session_and_continues_it(key_holder: KeyHolder, model_server: ModelServer) -> None:
    first = (await key_holder.client.post("/v1/chat", json={"message": "I am Ann", "user_id": "ann"})).json()
    body = {"message": "Who am I?", "user_id": "ann", "session_id": first["session_id"]}
    second = (await key_holder.client.post("/v1/chat", json=body)).json()
    assert second["session_id"] == first["session_id"]
    assert "I am Ann" in str(model_server.conversations[-1])
    switched = await key_holder.client.post("/v1/chat", json={**body, "privacy_mode": "incognito"})
    assert switched.json()["message"]["id"] is None


async def test_persona_and_options_reach_the_model(
    key_holder: KeyHolder, conversation: StartConversation, model_server: ModelServer
) -> None:
    body = {"name": "Pirate", "persona": "You are a pirate.", "user_id": "ann"}
    profile = (await key_holder.client.post("/v1/profiles", json=body)).json()
    session = await conversation(user_id="ann", profile_id=profile["id"])
    await session.send("Ahoy", model="other-model", temperature=0.3, max_tokens=55)
    [request] = model_server.conversations
    assert request["messages"][0]["content"].startswith("You are a pirate.")
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("other-model", 0.3, 55)


@pytest.mark.parametrize("wrong", [{"temperature": 2.1}, {"max_tokens": 0}, {"max_tokens": 10**6}, {"model": ""}])
async def test_options_outside_their_limits_are_refused(
    wrong: dict[str, object], conversation: StartConversation, model_server: ModelServer
) -> None:
    assert (await (await conversation()).post("Hello", None, **wrong)).status_code == 422
    assert model_server.conversations == []


@pytest.mark.parametrize("length", [20_000, 200_000])
async def test_message_longer_than_the_model_reads_is_refused(length: int, conversation: StartConversation) -> None:
    response = await (await conversation()).post("x" * length)
    assert (response.status_code, response.json()["code"]) == (400, "message_too_long")


@pytest.mark.parametrize("content", ["", "   \n", "nul \0 byte"])
async def test_unusable_message_is_refused(content: str, conversation: StartConversation) -> None:
    assert (await (await conversation()).post(content)).status_code == 422


# ---------------------------------------------------------------- the model fails


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", MODES)
async def test_answer_that_cannot_be_stored_is_cleaned(
    mode: str, streamed: bool, conversation: StartConversation, model_server: ModelServer
) -> None:
    session = await conversation(mode)
    model_server.chat(Says("Good\0", " ", "\ud83d", "\ude00", " half \ud83d"))
    answer = await session.send_or_stream("Hello", streamed=streamed)
    assert answer["message"]["content"] == "Good 😀 half \ufffd"
    kept = [message["content"] for message in await session.list_messages()]
    assert kept == ([] if mode == "incognito" else ["Hello", "Good 😀 half \ufffd"])
    assert (await session.send("And now?"))["message"]["content"] == "Hello there."


async def test_blank_answer_is_not_memorized(
    conversation: StartConversation, model_server: ModelServer, client: httpx.AsyncClient
) -> None:
    session = await conversation()
    model_server.chat(Says(" ", "\n", "\u200b"))
    await session.send("I like tea")
    filters = {"filters": {"user_id": session.user_id}, "page_size": 50}
    listed = (await client.post("/v3/memories/", json=filters)).json()["results"]
    assert [memory["memory"] for memory in listed] == ["I like tea"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", MODES)
async def test_model_failure_is_reported_and_the_message_is_stored(
    mode: str, streamed: bool, conversation: StartConversation, model_server: ModelServer
) -> None:
    session = await conversation(mode)
    model_server.chat(Fails(500))
    response = await session.post("Are you there?", stream=streamed)
    if streamed:
        error = read_events(response.text)[-1]
        assert error.kind == "error"
        assert error.content["status"] == 503
        assert "language model" in error.content["detail"]
    else:
        assert response.status_code == 503
        assert "language model" in response.json()["detail"]
        assert int(response.headers["Retry-After"]) > 0
    kept = [(message["role"], message["metadata"]) for message in await session.list_messages()]
    assert kept == ([] if mode == "incognito" else [("user", {"interrupted": True})])
    assert (await session.send("And now?"))["message"]["content"] == "Hello there."


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", MODES)
async def test_failed_first_turn_names_its_session(
    mode: str, streamed: bool, client: httpx.AsyncClient, model_server: ModelServer
) -> None:
    model_server.chat(Fails(500))
    body = {"message": "My dog is called Rex", "user_id": "ana", "privacy_mode": mode, "stream": streamed}
    failed = await client.post("/v1/chat", json=body)
    error = read_events(failed.text)[-1].content if streamed else failed.json()
    assert error["code"] == "unavailable"
    body |= {"message": "Hello?", "session_id": error["session_id"], "stream": False}
    answered = await client.post("/v1/chat", json=body)
    assert (answered.status_code, answered.json()["session_id"]) == (200, error["session_id"])
    if mode != "incognito":
        assert "Rex" in str(model_server.conversations[-1])


async def test_first_turn_that_is_stopped_names_its_session(
    another_app: AnotherApp, chat_resources: Resources, model_server: ModelServer
) -> None:
    model_server.always(Hangs())
    for seconds in (1, 10, PATIENCE_SECONDS):  # the first one suffices unless the machine is slow
        client = another_app(config=replace(chat_resources.config, request_timeout_seconds=seconds))
        stopped = await client.post("/v1/chat", json={"message": "Hello", "user_id": "ana"})
        assert (stopped.status_code, stopped.json()["code"]) == (504, "timed_out")
        if model_server.conversations:
            break
    assert (await client.get(f"/v1/sessions/{stopped.json()['session_id']}")).status_code == 200


async def test_interrupted_answer_is_stored_but_not_memorized(
    conversation: StartConversation, model_server: ModelServer, admin_rows: AdminRows
) -> None:
    session = await conversation()
    model_server.chat(Drops(after=("I work", " at")))
    events = await session.stream("I like Kestrels.")
    assert [event.kind for event in events] == ["recalled", "token", "token", "error"]
    kept = await session.list_messages()
    assert [(each["content"], each["metadata"]) for each in kept] == [
        ("I like Kestrels.", {"interrupted": True}),
        ("I work at", {"interrupted": True}),
    ]
    assert await admin_rows.memory_contents(session.project_id, "episode") == []
    assert await admin_rows.count_jobs(session.project_id) == 0
    await session.send("Go on")
    sql = "select count(*) from memories where project_id = :id and context like '%work%'"
    assert await admin_rows.select_value(sql, id=session.project_id) == 0
    sql = "select completion_tokens from token_usage where project_id = :id"
    assert await admin_rows.select_value(sql, id=session.project_id) > 3, "an interrupted answer is counted too"


class NoIndex:
    """A vector index that cannot be reached."""

    async def find_candidates(self, *_: object) -> list[object]:
        raise ConnectionError("no route")


async def test_turn_continues_without_recall_and_reports_it(
    conversation: StartConversation, another_app: AnotherApp
) -> None:
    session = through(await conversation(), another_app(index=NoIndex()))
    before = REGISTRY.get_sample_value("keepsake_recalls_failed_total") or 0
    events = await session.stream("Where do I live?")
    assert REGISTRY.get_sample_value("keepsake_recalls_failed_total") == before + 1
    assert events[0].content == {"memories": [], "failed": True, "answerable": False, "by_meaning": True}
    assert events[-2].content["recall_failed"] is True
    assert events[-2].content["message"]["content"] == "Hello there."


async def test_long_questions_of_another_project_do_not_make_recall_fail(
    conversation: StartConversation, make_key: MakeKey, chat_resources: Resources
) -> None:
    session = await conversation()
    await session.send("My sister Ines lives in Lisbon.")
    stranger = await make_key(project=await new_project(chat_resources))
    text = "What did I say about the weather in the mountains, the sea and all of the rest? " * 249
    queries = [f"{number} {text}" for number in range(40)]
    body = {"filters": {"user_id": "mallory"}}
    assert (await stranger.client.post("/v1/memories/", json=memory_of("mallory"))).status_code == 200
    flood = [
        asyncio.create_task(stranger.client.post("/v2/memories/search/", json={"query": query, **body}))
        for query in queries
    ]
    await asyncio.sleep(0.5)
    answer = await session.send("Where does my sister Ines live?")
    assert not answer["recall_failed"]
    assert [response.status_code for response in await asyncio.gather(*flood)] == [200] * len(flood)


def memory_of(user_id: str) -> dict[str, object]:
    message = {"role": "user", "content": "I like the mountains."}
    return {"messages": [message], "user_id": user_id, "infer": False}


# ---------------------------------------------------------------- the client disconnects


class CountedModel(OpenAIModel):
    """Counts the tokens that the application has read."""

    tokens_read = 0

    async def stream(self, messages: Sequence[ChatMessage], options: ModelOptions) -> AsyncGenerator[Token | Usage]:
        async with aclosing(super().stream(messages, options)) as pieces:
            async for piece in pieces:
                yield piece
                self.tokens_read += 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", MODES)
async def test_client_disconnect_stops_the_model(
    mode: str,
    streamed: bool,
    conversation: StartConversation,
    chat_resources: Resources,
    model_server: ModelServer,
    key_holder: KeyHolder,
    admin_rows: AdminRows,
) -> None:
    session = await conversation(mode)
    model_server.chat(Hangs(after=("Once", " upon")))
    headers = {"Authorization": f"Bearer {key_holder.key}"}
    model = CountedModel(Connection(base_url=model_server.url), model="test-model")
    async with (
        serve_on_loopback(create_app(replace(chat_resources, llm=model))) as url,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_SECONDS) as client,
    ):
        body = {"content": "Tell me a story", "stream": streamed}
        if streamed:
            async with client.stream("POST", f"{session.path}/messages", json=body) as response:
                async for line in response.aiter_lines():
                    if "upon" in line:
                        break
        else:
            posting = asyncio.create_task(client.post(f"{session.path}/messages", json=body))
            await eventually(lambda: model.tokens_read == 2)
            posting.cancel()
            await asyncio.wait([posting])
        await eventually(lambda: model_server.abandoned == 1)
        await admin_rows.wait_until_true("select turn_id is null from sessions where id = :id", id=session.session_id)
    kept = [message["content"] for message in await session.list_messages()]
    await model.close()
    assert kept == ([] if mode == "incognito" else ["Tell me a story", "Once upon"])
    assert await admin_rows.memory_contents(session.project_id, "episode") == []
    assert (await session.send("Hello"))["message"]["content"] == "Hello there."


# ---------------------------------------------------------------- concurrency


async def test_lease_is_renewed_during_a_long_answer(
    conversation: StartConversation,
    model_server: ModelServer,
    admin_rows: AdminRows,
    chat_resources: Resources,
    another_app: AnotherApp,
) -> None:
    session = through(
        await conversation(), another_app(config=replace(chat_resources.config, lease_renewed_seconds=0.05))
    )
    release = threading.Event()
    model_server.chat(Held(release, Says("A", " long", " answer")))
    answering = asyncio.create_task(session.send("Hello"))
    await admin_rows.wait_until_true(
        "select turn_until is not null from sessions where id = :id", id=session.session_id
    )
    first = await admin_rows.select_value("select turn_until from sessions where id = :id", id=session.session_id)
    later = "select turn_until > :first from sessions where id = :id"
    await admin_rows.wait_until_true(later, id=session.session_id, first=first)
    release.set()
    await answering


async def test_concurrent_turn_is_refused_and_works_afterwards(
    conversation: StartConversation, model_server: ModelServer
) -> None:
    session, release = await conversation(), threading.Event()
    model_server.chat(Held(release, Says("Slow", " answer")))
    first = asyncio.create_task(session.send("First"))
    await eventually(lambda: len(model_server.conversations) == 1)
    second = await session.post("Second")
    assert (second.status_code, second.json()["code"]) == (409, "turn_in_progress")
    assert second.headers["Retry-After"] == "1"
    release.set()
    await first
    await session.send("Second")
    contents = [message["content"] for message in await session.list_messages()]
    assert contents == ["First", "Slow answer", "Second", "Hello there."]


async def test_turn_after_a_crash_is_told_the_rest_of_the_lease(
    conversation: StartConversation, admin_rows: AdminRows
) -> None:
    """No process renews the lease of a turn that died with its process."""
    session = await conversation()
    sql = "update sessions set turn_id = gen_random_uuid(), turn_until = {} + interval '{} seconds' where id = '{}'"
    async with admin_rows.admin.begin() as connection:
        await connection.exec_driver_sql(sql.format("now()", 90, session.session_id))
    refused = await session.post("Hello?")
    assert (refused.status_code, refused.json()["code"]) == (409, "turn_in_progress")
    wait = int(refused.headers["Retry-After"])
    assert 30 < wait <= 90
    async with admin_rows.admin.begin() as connection:  # as if the time had passed
        await connection.exec_driver_sql(sql.format("turn_until", -wait, session.session_id))
    await session.send("Hello?")


async def test_fifty_concurrent_turns_are_neither_interleaved_nor_lost(
    conversation: StartConversation, model_server: ModelServer
) -> None:
    session = await conversation()
    model_server.always(Says("Yes", delay=0.01))
    answers = await asyncio.gather(*(session.post(f"Question {number}") for number in range(50)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    answered = [answer.json()["user_message"]["content"] for answer in answers if answer.status_code == 200]
    history = await session.list_messages()
    assert [message["role"] for message in history] == ["user", "assistant"] * len(answered)
    assert sorted(message["content"] for message in history if message["role"] == "user") == sorted(answered)


async def test_session_is_free_again_after_its_lease_expired(
    conversation: StartConversation, admin_rows: AdminRows
) -> None:
    session = await conversation()
    async with admin_rows.admin.begin() as connection:
        sql = (
            "update sessions set turn_id = gen_random_uuid(), turn_until = now() - interval '1 second' where id = '{}'"
        )
        await connection.exec_driver_sql(sql.format(session.session_id))
    await session.send("Anybody there?")


async def test_reset_during_an_answer_discards_that_turn(
    conversation: StartConversation, model_server: ModelServer
) -> None:
    session, release = await conversation(), threading.Event()
    model_server.chat(Held(release, Says("Slow", " answer")))
    answering = asyncio.create_task(session.post("My name is Ann"))
    await eventually(lambda: len(model_server.conversations) == 1)
    await session.client.post(f"{session.path}/reset")
    release.set()
    late = await answering
    assert (late.status_code, late.json()["code"]) == (409, "turn_lost")
    await session.send("Who am I?")
    assert "Ann" not in str(model_server.conversations[-1])
    assert len(await session.list_messages()) == 2


async def test_incognito_answer_is_not_stored_after_leaving_incognito(
    conversation: StartConversation, model_server: ModelServer, chat_resources: Resources
) -> None:
    session, release = await conversation("incognito"), threading.Event()
    model_server.chat(Held(release, Says("Slow", " answer")))
    answering = asyncio.create_task(session.send("My secret is Puffin"))
    await eventually(lambda: len(model_server.conversations) == 1)
    await session.switch_mode("normal")
    release.set()
    assert (await answering)["message"]["content"] == "Slow answer"
    assert await chat_resources.short_term.get(f"incognito:{session.session_id}") is None


# ---------------------------------------------------------------- idempotency


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", MODES)
async def test_repeated_turn_with_its_idempotency_key_receives_the_same_answer(
    mode: str, streamed: bool, conversation: StartConversation, model_server: ModelServer, chat_resources: Resources
) -> None:
    session = await conversation(mode)
    if mode != "incognito":
        namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
        await remember(chat_resources, namespace, [NewMemory("My sister Ines lives in Lisbon")])
    model_server.chat(Says("The", " first"), Says("The", " second"))
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = await session.send("Where does Ines live?", headers)
    if streamed:
        events = await session.stream("Where does Ines live?", headers)
        assert [event.kind for event in events] == ["recalled", "token", "message", "done"]
        again = events[2].content
    else:
        again = await session.send("Where does Ines live?", headers)
    usage = {"usage": None} if mode == "incognito" else {}
    assert {**again, **usage} == {**first, **usage}
    assert len(model_server.conversations) == 1
    other = await session.post("Something else", headers)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert (await session.send("Next"))["message"]["content"] == "The second"


async def test_repeated_chat_with_its_idempotency_key_finds_its_session(
    key_holder: KeyHolder, model_server: ModelServer
) -> None:
    headers, body = {"Idempotency-Key": "once"}, {"message": "Hello", "user_id": "ann", "privacy_mode": "incognito"}
    first = (await key_holder.client.post("/v1/chat", json=body, headers=headers)).json()
    again = (await key_holder.client.post("/v1/chat", json=body, headers=headers)).json()
    assert again["session_id"] == first["session_id"]
    assert len(model_server.conversations) == 1
    assert len((await key_holder.client.get("/v1/sessions", params={"user_id": "ann"})).json()["results"]) == 1


async def test_concurrent_turns_with_one_idempotency_key_reach_the_model_once(
    conversation: StartConversation, model_server: ModelServer
) -> None:
    session = await conversation()
    model_server.always(Says("Yes", delay=0.05))
    headers = {"Idempotency-Key": "same"}
    answers = await asyncio.gather(*(session.post("Hello", headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len(model_server.conversations) == 1
    assert len(await session.list_messages()) == 2


async def test_repeated_turn_replaces_its_interrupted_attempt(
    conversation: StartConversation, model_server: ModelServer
) -> None:
    session = await conversation()
    headers = {"Idempotency-Key": "again"}
    model_server.chat(Fails(500))
    assert (await session.post("Hello", headers)).status_code == 503
    await session.send("Hello", headers)
    assert [message["content"] for message in await session.list_messages()] == ["Hello", "Hello there."]
    assert len(model_server.conversations[-1]["messages"]) == 2


async def test_repeated_answer_omits_memories_deleted_since(
    conversation: StartConversation, model_server: ModelServer, chat_resources: Resources
) -> None:
    session = await conversation()
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    await remember(chat_resources, namespace, [NewMemory("My sister Ines lives in Lisbon")])
    headers = {"Idempotency-Key": "k"}
    [recalled] = (await session.send("Where does Ines live?", headers))["recalled"]
    await session.send("Go ahead", confirm_forget=[recalled["id"]])
    assert (await session.send("Where does Ines live?", headers))["recalled"] == []


# ---------------------------------------------------------------- limits


async def test_turns_are_refused_once_the_monthly_budget_is_used(
    conversation: StartConversation, model_server: ModelServer
) -> None:
    session = await conversation()
    usage = (await session.client.patch("/v1/usage", json={"monthly_token_budget": 12})).json()
    assert (usage["prompt_tokens"], usage["turns"], usage["monthly_token_budget"]) == (0, 0, 12)
    await session.send("One")
    usage = (await session.client.get("/v1/usage")).json()
    assert usage["prompt_tokens"] + usage["completion_tokens"] >= 12
    assert usage["turns"] == 1
    refused = await session.post("Two")
    assert (refused.status_code, refused.json()["code"]) == (429, "token_budget_used")
    assert "12 tokens" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert len(model_server.conversations) == 1

    await session.client.patch("/v1/usage", json={"monthly_token_budget": None})
    await session.send("Two")


@pytest.mark.parametrize("budget", [-1, 1.5, "many", 2**53])
async def test_budget_must_be_a_number_of_tokens(client: httpx.AsyncClient, budget: object) -> None:
    assert (await client.patch("/v1/usage", json={"monthly_token_budget": budget})).status_code == 422
    assert (await client.patch("/v1/usage", json={})).status_code == 422
    assert (await client.get("/v1/usage")).json()["monthly_token_budget"] is None


async def test_chat_rate_limit_counts_each_user(
    conversation: StartConversation, another_app: AnotherApp, chat_resources: Resources, model_server: ModelServer
) -> None:
    generous = {name: read_limit(name, "100000/minute") for name in ("user", "project", "account", "everyone")}
    clock = InProcessCounters(clock=lambda: 1000.0)
    limits = RateLimits(clock, chat=read_limit("rate_limit_chat", "30/minute"), **generous)
    client = another_app(limits=limits)
    ann, bob = through(await conversation(user_id="ann"), client), through(await conversation(user_id="bob"), client)
    assert [(await ann.post("Hi")).status_code for _ in range(30)] == [200] * 30
    refused = await ann.post("Hi")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await bob.post("Hi")).status_code == 200
    assert len(model_server.conversations) == 31


async def test_no_database_connection_is_held_while_the_model_answers(
    conversation: StartConversation, model_server: ModelServer, chat_resources: Resources
) -> None:
    conversations_at_once = [await conversation() for _ in range(20)]
    release = threading.Event()
    model_server.always(Held(release, Says("Slowly")))
    answering = [asyncio.create_task(each.send("Hello")) for each in conversations_at_once]
    await eventually(lambda: len(model_server.conversations) == 20)
    in_use = chat_resources.database.pool_state()[1]
    release.set()
    await asyncio.gather(*answering)
    assert in_use == 0


async def test_session_of_another_user_is_not_found(
    conversation: StartConversation, make_key: MakeKey, key_holder: KeyHolder
) -> None:
    session = await conversation(user_id="ann")
    body = {"message": "Hi", "user_id": "bob", "session_id": session.session_id}
    assert (await key_holder.client.post("/v1/chat", json=body)).status_code == 404
    other = await make_key(project=key_holder.project_id)
    assert (await through(session, other.client).post("Hi")).status_code == 200


async def test_turn_works_without_short_term_memory(
    conversation: StartConversation, another_app: AnotherApp, model_server: ModelServer
) -> None:
    session = through(await conversation(), another_app(short_term=NoShortTerm()))
    await session.send("My dog is called Rex")
    await session.send("What is my dog called?")
    assert "Rex" in str(model_server.conversations[-1])


class NoShortTerm:
    async def get(self, key: str) -> bytes | None:
        raise ConnectionError

    async def set(self, key: str, value: bytes, ttl_seconds: float, *, tenant: str | None = None) -> None:
        raise ConnectionError

    async def delete(self, *keys: str) -> int:
        raise ConnectionError


async def test_next_turn_sees_messages_written_by_others(
    conversation: StartConversation, model_server: ModelServer, admin_rows: AdminRows
) -> None:
    session = await conversation()
    await session.send("Hello")
    async with admin_rows.admin.begin() as connection:
        sql = (
            "insert into messages (project_id, user_id, session_id, role, content)"
            " select project_id, user_id, id, 'user', 'My dog is called Rex' from sessions where id = '{}'"
        )
        await connection.exec_driver_sql(sql.format(session.session_id))
    await session.send("What is my dog called?")
    assert "Rex" in str(model_server.conversations[-1])


@pytest.mark.parametrize("mode", MODES)
async def test_window_lives_three_hours_after_the_last_turn_and_one_in_incognito_a_day(
    mode: str, conversation: StartConversation, another_app: AnotherApp
) -> None:
    now = [1000.0]
    client = another_app(short_term=InProcessShortTerm(clock=lambda: now[0]))
    session = through(await conversation(mode), client)
    await session.send("Hello")
    hours = 24 if mode == "incognito" else 3
    now[0] += hours * 3600 - 1
    assert await session.count_short_term_messages() == 2
    now[0] += 2
    assert await session.count_short_term_messages() == 0


async def test_window_that_is_gone_is_recovered_from_the_transcript_but_not_in_incognito(
    conversation: StartConversation, another_app: AnotherApp, model_server: ModelServer
) -> None:
    now = [1000.0]
    client = another_app(short_term=InProcessShortTerm(clock=lambda: now[0]))
    session = through(await conversation(), client)
    await session.send("My dog is called Rex")
    await session.switch_mode("incognito")
    await session.send("My cat is called Tom")
    now[0] += 25 * 3600
    await session.send("What are they called?")
    assert "Rex" in str(model_server.conversations[-1])
    assert "Tom" not in str(model_server.conversations[-1])
