"""OpenAI's client gets memory by changing its base URL: chat completions, whole and streamed."""

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from app.profiles.repository import ProfileRepository
from tests.chat.conversation import AdminRows
from tests.conftest import KeyHolder, MakeKey, SignedUp
from tests.e2e.loopback import with_request_limit
from tests.gateways.openai.conftest import ConnectOpenAI, ServedModel
from tests.loopback import serve_on_loopback
from tests.model_server import Fails, Hangs, ModelServer, Says, Sends
from tests.patience import PATIENCE_SECONDS

AT_ONCE = 4
"""Requests that the served app sends to its model at the same time."""
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Lisbon"}'}}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


async def add_memory(served: ServedModel, project_id: uuid.UUID, user_id: str, text: str) -> Namespace:
    async with served.resources.database.transaction(project_id) as tx:
        profile = await ProfileRepository(tx, project_id).default_of(user_id)
    namespace = Namespace(project_id, user_id, profile.id)
    await remember(served.resources, namespace, [NewMemory(text)])
    return namespace


async def ask(ai: openai.AsyncOpenAI, *messages: Any, **more: Any) -> Any:
    request = {"model": "test-model", "user": "ann", "messages": list(messages), **more}
    return await ai.chat.completions.create(**request)


async def stream(ai: openai.AsyncOpenAI, *messages: Any, **more: Any) -> list[Any]:
    return [chunk async for chunk in await ask(ai, *messages, stream=True, **more)]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def calling(streamed: bool) -> Sends:
    """The model asks for a tool."""
    head = {"id": "c1", "created": 0, "model": "any"}
    if not streamed:
        message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return Sends(json.dumps({**head, "object": "chat.completion", "choices": [choice]}).encode())
    deltas: tuple[dict[str, Any], ...] = ({"role": "assistant", "tool_calls": [{"index": 0, **CALL}]}, {})
    choices = [
        {"index": 0, "delta": delta, "finish_reason": finish}
        for delta, finish in zip(deltas, (None, "tool_calls"), strict=True)
    ]
    chunks = [{**head, "object": "chat.completion.chunk", "choices": [choice]} for choice in choices]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return Sends("".join([*lines, "data: [DONE]\n\n"]).encode(), kind="text/event-stream")


async def test_completion_knows_what_is_remembered_and_remembers_what_is_said(
    ai: openai.AsyncOpenAI, served: ServedModel, model_server: ModelServer, key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    await add_memory(served, key_holder.project_id, "ann", "My sister Ines lives in Lisbon")
    model_server.chat(Says("Downtown", " there"))
    asked = "I fly on Friday. Where does my sister Ines live?"
    answer = await ask(ai, {"role": "system", "content": "Be brief."}, user(asked))
    assert answer.choices[0].message.content == "Downtown there"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 2)
    [sent] = model_server.conversations
    assert sent["messages"][0]["content"].startswith("Be brief.\n\n")
    assert "Lisbon" in sent["messages"][0]["content"]
    assert sent["messages"][1:] == [user(asked)]
    assert answer.keepsake["recalled"][0]["memory"] == "My sister Ines lives in Lisbon"
    assert answer.keepsake["will_remember"] is True
    assert answer.keepsake["session_id"] is None
    episodes = await admin_rows.memory_contents(key_holder.project_id, "episode")
    assert episodes == [asked, "Downtown there"]
    doors = "select string_agg(distinct door, ',') from memories where project_id = :id and kind = 'episode'"
    assert await admin_rows.select_value(doors, id=key_holder.project_id) == "openai"
    assert (
        await admin_rows.select_value("select count(*) from messages where project_id = :id", id=key_holder.project_id)
        == 0
    )
    used = "select prompt_tokens + completion_tokens from token_usage where project_id = :id"
    assert await admin_rows.select_value(used, id=key_holder.project_id) == 13


async def test_parameters_go_to_the_model_untouched_and_names_of_users_do_not(
    ai: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    more = {"tools": TOOLS, "logit_bias": {"7": 1}, "seed": 7, "extra_body": {"top_k": 5}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    message = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}
    await ask(ai, message, max_completion_tokens=50, metadata={"user_id": "bob", "purpose": "test"}, **more)
    [sent] = model_server.conversations
    assert sent["messages"][-1] == message
    assert (sent["tools"], sent["logit_bias"], sent["seed"], sent["top_k"]) == (TOOLS, {"7": 1}, 7, 5)
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 50
    assert sent["metadata"] == {"purpose": "test"}
    assert "ann" not in json.dumps(sent)
    assert "bob" not in json.dumps(sent)


@pytest.mark.parametrize("include_usage", [False, True], ids=["plain", "with-usage"])
async def test_stream_has_the_chunks_of_the_model(
    include_usage: bool, ai: openai.AsyncOpenAI, model_server: ModelServer, key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    model_server.chat(Says("Sunny", " morning"))
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = await stream(ai, user("Say good morning, I live in Porto."), **options)
    assert text_of(chunks) == "Sunny morning"
    finishing = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert [chunk.choices[0].finish_reason for chunk in finishing] == ["stop"]
    assert finishing[0].keepsake["will_remember"] is True
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == ([13] if include_usage else [])
    assert all(chunk.choices for chunk in chunks[:-1])
    assert bool(chunks[-1].choices) is not include_usage
    episodes = await admin_rows.memory_contents(key_holder.project_id, "episode")
    assert episodes == ["Say good morning, I live in Porto.", "Sunny morning"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_tool_calls_pass_and_their_results_are_not_remembered_twice(
    streamed: bool, ai: openai.AsyncOpenAI, model_server: ModelServer, key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    model_server.chat(calling(streamed), Says("Sunny"))
    question = user("I am in Lisbon. What is the weather?")
    if streamed:
        chunks = await stream(ai, question, tools=TOOLS)
        called = chunks[0].choices[0].delta.tool_calls[0]
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        called = (await ask(ai, question, tools=TOOLS)).choices[0].message.tool_calls[0]
    assert called.function.name == "weather"
    calls = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "25 degrees"}
    answer = await ask(ai, question, calls, result, tools=TOOLS)
    assert answer.choices[0].message.content == "Sunny"
    assert model_server.conversations[-1]["messages"][-3:] == [question, calls, result]
    episodes = await admin_rows.memory_contents(key_holder.project_id, "episode")
    assert episodes == [question["content"]]


@pytest.mark.parametrize("named_in", ["metadata", "headers"])
async def test_session_gets_the_last_message_and_the_answer_only(
    named_in: str, connect_openai: ConnectOpenAI, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    client = key_holder.client
    session = (await client.post("/v1/sessions", json={"user_id": "ann"})).json()
    headers = {"X-Session-Id": session["id"]} if named_in == "headers" else {}
    more = {} if headers else {"metadata": {"session_id": session["id"]}}
    ai = connect_openai(**headers)
    model_server.chat(Says("Noted"), Says("Teal"))
    await ask(ai, user("Hi"), assistant("Hello"), user("My colour is teal."), **more)
    answer = await ask(ai, user("Which colour?"), **more)
    assert answer.keepsake["session_id"] == session["id"]
    listed = (await client.get(f"/v1/sessions/{session['id']}/messages")).json()["results"]
    stored = [message["content"] for message in listed][::-1]
    assert stored == ["My colour is teal.", "Noted", "Which colour?", "Teal"]
    first, second = [body["messages"] for body in model_server.conversations]
    assert [each["content"] for each in first if each["role"] != "system"] == ["Hi", "Hello", "My colour is teal."]
    # A client that sends no history gets that of the session.
    assert [each["content"] for each in second if each["role"] != "system"] == [
        "My colour is teal.",
        "Noted",
        "Which colour?",
    ]


async def test_answer_after_a_tool_ends_the_turn_in_the_session(
    ai: openai.AsyncOpenAI, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    session = (await key_holder.client.post("/v1/sessions", json={"user_id": "ann"})).json()
    more = {"metadata": {"session_id": session["id"]}, "tools": TOOLS}
    model_server.chat(calling(False), Says("Sunny"))
    question = user("What is the weather?")
    await ask(ai, question, **more)
    calls = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    await ask(ai, question, calls, {"role": "tool", "tool_call_id": "call_1", "content": "25"}, **more)
    listed = (await key_holder.client.get(f"/v1/sessions/{session['id']}/messages")).json()["results"]
    assert [message["content"] for message in listed if message["content"]] == ["Sunny", "What is the weather?"]


async def test_oldest_exchanges_are_left_out_if_the_prompt_is_too_long(
    ai: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    history = [each for number in range(12) for each in (user(f"Question {number}"), assistant("word " * 700))]
    answer = await ask(ai, *history, user("And now?"))
    [sent] = model_server.conversations
    kept = [each for each in sent["messages"] if each["role"] != "system"]
    assert kept[0]["role"] == "user"
    assert kept[-1] == user("And now?")
    assert answer.keepsake["omitted_messages"] == len(history) + 1 - len(kept) > 0


async def test_request_to_forget_is_answered_and_confirmed(
    ai: openai.AsyncOpenAI, served: ServedModel, model_server: ModelServer, key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    await add_memory(served, key_holder.project_id, "ann", "I play the cello")
    answer = await ask(ai, user("Forget that I play the cello."))
    assert model_server.conversations == []
    ids = [each["id"] for each in answer.keepsake["forget"]["memories"]]
    assert len(ids) == 1
    chunks = await stream(ai, user("Yes"), metadata={"confirm_forget": ",".join(ids)})
    assert "Deleted" in text_of(chunks) or "deleted" in text_of(chunks)
    assert chunks[-1].keepsake["forgotten"] == ids
    assert len({chunk.id for chunk in chunks}) == 1
    assert await admin_rows.memory_contents(key_holder.project_id, "fact") == []


async def test_persons_token_needs_no_user(
    connect_openai: ConnectOpenAI, served: ServedModel, model_server: ModelServer, admin_rows: AdminRows
) -> None:
    body = {"email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery"}
    async with httpx.AsyncClient(base_url=served.url, timeout=PATIENCE_SECONDS) as client:
        account = (await client.post("/v1/auth/signup", json=body)).json()
    ai = connect_openai(account["access_token"])
    answer = await ai.chat.completions.create(
        model="test-model", messages=[{"role": "user", "content": "I sail on Sundays."}]
    )
    assert answer.choices[0].message.content == "Hello there."
    stored = "select count(*) from memories where user_id = :id and kind = 'episode'"
    assert await admin_rows.select_value(stored, id=account["user"]["id"]) == 1


# ---------------------------------------------------------------- errors


async def test_wrong_key_is_an_authentication_error(connect_openai: ConnectOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as error:
        await ask(connect_openai("ks_wrong"), user("Hi"))
    assert error.value.code == "unauthorized"
    assert error.value.type == "authentication_error"


async def test_key_without_the_scope_is_denied(connect_openai: ConnectOpenAI, make_key: MakeKey) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        await ask(connect_openai((await make_key("memories:read")).key), user("Hi"))


async def test_key_must_name_a_user(ai: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="`user` to name one"):
        await ai.chat.completions.create(model="test-model", messages=[{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("of", ["session_id", "profile_id"])
async def test_objects_of_another_project_are_not_found(
    of: str, connect_openai: ConnectOpenAI, owner: SignedUp
) -> None:
    path, name = ("/v1/sessions", "id") if of == "session_id" else ("/v1/profiles", "id")
    body = {} if of == "session_id" else {"name": "Work"}
    theirs = (await owner.client.post(path, json=body)).json()[name]
    with pytest.raises(openai.NotFoundError) as error:
        await ask(connect_openai(), user("Hi"), metadata={of: theirs})
    assert error.value.code == "not_found"


@pytest.mark.parametrize(
    ("change", "kind", "code", "param"),
    [
        ({"model": "gpt-unknown"}, openai.NotFoundError, "model_not_allowed", None),
        ({"max_tokens": 5000}, openai.BadRequestError, "max_tokens_too_large", None),
        ({"n": 9, "max_tokens": 1000}, openai.BadRequestError, "max_tokens_too_large", None),
        ({"metadata": {"privacy_mode": "incognitoo"}}, openai.BadRequestError, "invalid_request", "privacy_mode"),
        ({"messages": []}, openai.BadRequestError, "invalid_request", "messages"),
        ({"messages": [{"content": "Hi"}]}, openai.BadRequestError, "invalid_request", "messages.0"),
        (
            {"messages": [{"role": "user", "content": "a " * 20_000}]},
            openai.BadRequestError,
            "context_length_exceeded",
            None,
        ),
        ({"metadata": {"confirm_forget": "x"}}, openai.BadRequestError, "invalid_request", "confirm_forget.0"),
    ],
    ids=["model", "max_tokens", "n", "mode", "no-messages", "no-role", "too-long", "confirmation"],
)
async def test_invalid_request_is_refused(
    change: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str,
    param: str | None,
    ai: openai.AsyncOpenAI,
    model_server: ModelServer,
) -> None:
    request = {"model": "test-model", "messages": [user("Hi")], "user": "ann", **change}
    with pytest.raises(kind) as error:
        await ai.chat.completions.create(**request)
    assert (error.value.code, error.value.param) == (code, param)
    assert error.value.request_id
    assert model_server.conversations == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_failure_of_the_model_has_a_status(
    streamed: bool, ai: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    refused = {"message": "Unknown tool choice", "type": "invalid_request_error", "param": "tool_choice", "code": None}
    model_server.chat(Fails(400, error=refused), Fails(500))
    with pytest.raises(openai.BadRequestError, match="Unknown tool choice") as error:
        await ask(ai, user("Hi"), stream=streamed)
    assert (error.value.code, error.value.param) == ("refused_by_model", "tool_choice")
    with pytest.raises(openai.InternalServerError) as failure:
        await ask(ai, user("Hi"), stream=streamed)
    assert failure.value.status_code == 503


async def test_failure_in_the_middle_of_a_stream_is_an_error_of_the_client(
    ai: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    model_server.chat(Says("Half", finished=False))
    with pytest.raises(openai.APIError, match="before it was complete"):
        await stream(ai, user("Hi"))


async def test_used_up_budget_is_a_rate_limit_error(ai: openai.AsyncOpenAI, key_holder: KeyHolder) -> None:
    await key_holder.client.patch("/v1/usage", json={"monthly_token_budget": 1})
    await ask(ai, user("Hi"))
    with pytest.raises(openai.RateLimitError) as error:
        await ask(ai, user("Hi"))
    assert (error.value.code, error.value.type) == ("token_budget_used", "insufficient_quota")


async def test_rate_limit_is_a_rate_limit_error(
    connect_openai: ConnectOpenAI, served: ServedModel, model_server: ModelServer
) -> None:
    async with serve_on_loopback(with_request_limit(served.resources, requests=1)) as url:
        ai = connect_openai(url=url)
        await ask(ai, user("Hi"))
        with pytest.raises(openai.RateLimitError) as error:
            await ask(ai, user("Hi"))
        await ai.close()
    assert error.value.response.headers["retry-after"]
    assert error.value.code == "rate_limited"


# ---------------------------------------------------------------- clients that leave


async def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def leave_after_the_first_chunk(ai: openai.AsyncOpenAI, **more: Any) -> None:
    async for _ in await ask(ai, user("I live in Faro."), stream=True, **more):
        return


async def free_again(ai: openai.AsyncOpenAI, **more: Any) -> None:
    """The interrupted turn is settled once the session accepts the next message."""
    for _ in range(6000):
        try:
            await ask(ai, user("Still there?"), **more)
            return
        except openai.ConflictError:
            await asyncio.sleep(0.01)
    raise AssertionError("the session stays taken")


@pytest.mark.parametrize("in_session", [False, True], ids=["without-session", "in-session"])
@pytest.mark.parametrize("when", ["before-first-token", "in-the-middle", "whole"])
async def test_client_that_leaves_frees_everything(
    when: str,
    in_session: bool,
    connect_openai: ConnectOpenAI,
    model_server: ModelServer,
    key_holder: KeyHolder,
    served: ServedModel,
    admin_rows: AdminRows,
) -> None:
    session = (await key_holder.client.post("/v1/sessions", json={"user_id": "ann"})).json()
    more: dict[str, Any] = {"metadata": {"session_id": session["id"]}} if in_session else {}
    model_server.always(Hangs(after=() if when == "before-first-token" else ("Half",)))
    ai = connect_openai()
    leaving = leave_after_the_first_chunk(ai, **more) if when != "whole" else ask(ai, user("I live in Faro."), **more)
    asking = asyncio.create_task(leaving)
    await wait_for(lambda: model_server.conversations)
    if when != "in-the-middle":
        asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await ai.close()
    await wait_for(lambda: model_server.abandoned)
    await wait_for(lambda: not served.resources.running_turns)
    model_server.always(Says("Hello"))
    await asyncio.gather(*(free_again(connect_openai(), **more) for _ in range(1 if in_session else AT_ONCE)))
    assert "I live in Faro." not in await admin_rows.memory_contents(key_holder.project_id, "episode")


# ---------------------------------------------------------------- without a model


async def test_offline_responder_answers_and_says_so(app_url: str, connect_openai: ConnectOpenAI) -> None:
    ai = connect_openai(url=app_url)
    await ask(ai, user("I keep bees."), model="gpt-4o")
    answer = await ask(ai, user("Do I keep bees?"), model="gpt-4o")
    assert (answer.model, answer.system_fingerprint) == ("offline", "keepsake_offline")
    assert "I keep bees." in answer.choices[0].message.content
    chunks = await stream(ai, user("Do I keep bees?"), stream_options={"include_usage": True})
    assert "I keep bees." in text_of(chunks)
    assert chunks[-1].usage.total_tokens == 0
    assert chunks[0].system_fingerprint == "keepsake_offline"
    assert len({answer.id, *(chunk.id for chunk in chunks)}) == 2, "one id for each completion"
