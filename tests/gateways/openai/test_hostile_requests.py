"""Requests that no client of OpenAI's writes: values that cannot be sent on, and names in headers."""

import json

import httpx
import pytest

from tests.conftest import KeyHolder
from tests.gateways.openai.conftest import ServedModel
from tests.model_server import ModelServer, Sends
from tests.patience import PATIENCE_SECONDS

HI = {"role": "user", "content": "Hi"}
LIKES_TEA = {"role": "user", "content": "I like tea"}


async def send(
    served: ServedModel, key_holder: KeyHolder, body: str, path: str = "chat/completions", **headers: str
) -> httpx.Response:
    sent = {"Authorization": f"Bearer {key_holder.key}", "Content-Type": "application/json"}
    encoded = {name.encode(): value.encode() for name, value in (sent | headers).items()}
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        return await http.post(f"{served.url}/v1/{path}", content=body, headers=encoded)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"tools": [{"type": "function", "function": {"name": "\ud800"}}]},
        {"metadata": {"\udfff": "x"}},
        {"messages": [{**HI, "name": "\ud800"}]},
        {"messages": [{**HI, "name": "\x00"}]},
        {"messages": [{**HI, "content": ["Hi"]}]},
        {"messages": [{"role": "system", "content": [None]}, HI]},
        {"metadata": {"privacy_mode": ""}},
        {"metadata": {"privacy_mode": False}},
    ],
    ids=["nan", "infinite", "tool", "key", "name", "nul", "part", "instructions", "empty-mode", "false-mode"],
)
async def test_request_that_cannot_be_sent_on_is_refused(
    change: dict[str, object], served: ServedModel, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    body = json.dumps({"model": "test-model", "user": "ann", "messages": [HI], **change})
    answer = await send(served, key_holder, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert model_server.conversations == []


@pytest.mark.parametrize("text", ["\ud800", "\x00"], ids=["surrogate", "nul"])
async def test_text_that_cannot_be_embedded_is_refused(text: str, served: ServedModel, key_holder: KeyHolder) -> None:
    answer = await send(served, key_holder, json.dumps({"model": "any", "input": ["Hi", text]}), "embeddings")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


async def test_user_in_a_header_has_any_letters(served: ServedModel, key_holder: KeyHolder) -> None:
    body = json.dumps({"model": "test-model", "messages": [LIKES_TEA]})
    answer = await send(served, key_holder, body, **{"X-User-Id": "Zoë"})
    assert answer.status_code == 200, answer.text
    memories = await key_holder.client.post("/v3/memories/", json={"filters": {"user_id": "Zoë"}})
    assert "tea" in memories.text


async def test_metadata_stays_here_in_an_incognito_session(
    served: ServedModel, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    """Models keep metadata with what they store, so those that store nothing refuse it."""
    private = {"user_id": "ann", "privacy_mode": "incognito"}
    session = (await key_holder.client.post("/v1/sessions", json=private)).json()["id"]
    secret = {"role": "user", "content": "Off the record: I like tea"}
    for message, metadata in ((HI, {"session_id": session, "note": "n"}), (secret, {"note": "n"})):
        body = json.dumps({"model": "test-model", "user": "ann", "messages": [message], "metadata": metadata})
        assert (await send(served, key_holder, body)).status_code == 200
    for sent in model_server.conversations:
        assert (sent["store"], sent.get("metadata")) == (False, None)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("responses", {"input": "Hi", "temperature": float("nan")}),
        ("responses", {"input": "Hi", "instructions": "\ud800"}),
        ("conversations", {"metadata": {"user_id": "ann", "\ud800": "x"}}),
        ("conversations", {"items": [{"role": "user", "content": ""}], "metadata": {"user_id": "ann"}}),
        ("conversations", {"items": [{"type": "function_call", "name": "f"}], "metadata": {"user_id": "ann"}}),
    ],
    ids=["nan", "instructions", "key", "no-text", "call"],
)
async def test_response_and_conversation_that_cannot_be_kept_are_refused(
    path: str, change: dict[str, object], served: ServedModel, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    answer = await send(served, key_holder, json.dumps({"user": "ann", **change}), path)
    assert answer.status_code == 400, answer.text
    assert model_server.conversations == []


async def test_response_is_no_longer_than_the_server_allows(
    served: ServedModel, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    more = {"max_completion_tokens": 1_000_000, "max_tokens": 1_000_000, "n": "128"}
    body = json.dumps({"user": "ann", "input": "Hi", "max_output_tokens": 50, **more})
    assert (await send(served, key_holder, body, "responses")).status_code == 200
    [sent] = model_server.conversations
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 50
    assert {*more} & {*sent} <= {"max_tokens"}


CALLS = [{"id": "a", "type": "function"}, "x", {"id": "b", "function": {"name": 5, "arguments": None}}]
ANSWERS: dict[str, dict[str, object]] = {
    "surrogate": {"role": "assistant", "content": "Hi \ud800"},
    "calls": {"role": "assistant", "content": "Hi", "tool_calls": CALLS},
}


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("said", ANSWERS)
async def test_strange_answer_of_a_model_is_passed_on(
    said: str, streamed: bool, path: str, served: ServedModel, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    """Without the name of the model, and with usage that is no count."""
    choice = {"index": 0, "delta" if streamed else "message": ANSWERS[said], "finish_reason": "stop"}
    answer = json.dumps({"id": "c1", "choices": [choice], "usage": "none"})
    lines = f"data: {answer}\n\ndata: [DONE]\n\n"
    sends = Sends(lines.encode(), kind="text/event-stream") if streamed else Sends(answer.encode())
    model_server.always(sends)
    body = {"model": "test-model", "user": "ann", "messages": [HI], "input": "Hi", "stream": streamed}
    got = await send(served, key_holder, json.dumps(body), path)
    assert got.status_code == 200, got.text
    assert "Hi" in got.text
    assert "keepsake" in got.text
