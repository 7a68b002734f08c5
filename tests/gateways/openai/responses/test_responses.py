"""OpenAI's client keeps conversations in sessions: responses, whole and streamed, and conversations."""

import json
from typing import Any

import openai
import pytest

from tests.chat.conversation import AdminRows
from tests.conftest import KeyHolder, MakeKey, SignedUp
from tests.gateways.openai.conftest import ConnectOpenAI, ServedModel
from tests.gateways.openai.test_chat_completions import CALL, calling, free_again, wait_for
from tests.model_server import Fails, Hangs, ModelServer, Says

TOOLS: list[Any] = [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}]


async def respond(ai: openai.AsyncOpenAI, given: Any, **more: Any) -> Any:
    request = {"model": "test-model", "user": "ann", "input": given, **more}
    return await ai.responses.create(**request)


async def stream(ai: openai.AsyncOpenAI, given: Any, **more: Any) -> list[Any]:
    return [event async for event in await respond(ai, given, stream=True, **more)]


def spoken(body: dict[str, Any]) -> list[Any]:
    return [each["content"] for each in body["messages"] if each["role"] != "system"]


async def test_response_continues_the_one_before(
    ai: openai.AsyncOpenAI, model_server: ModelServer, key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    model_server.chat(Says("Noted"), Says("Teal"))
    first = await respond(ai, "My colour is teal.", instructions="Be brief.")
    second = await respond(ai, "Which colour?", previous_response_id=first.id)
    assert (first.output_text, second.output_text) == ("Noted", "Teal")
    assert (second.status, second.usage.input_tokens, second.usage.output_tokens) == ("completed", 11, 1)
    assert second.conversation.id == first.conversation.id
    assert second.previous_response_id == first.id
    assert spoken(model_server.conversations[1]) == ["My colour is teal.", "Noted", "Which colour?"]
    assert model_server.conversations[0]["messages"][0]["content"].startswith("Be brief.")
    assert (await admin_rows.memory_contents(key_holder.project_id, "episode"))[0] == "My colour is teal."
    with pytest.raises(openai.BadRequestError, match=r"latest response .* as `input`"):
        await respond(ai, "And now?", previous_response_id=first.id)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_outputs_of_tools_continue_a_response(
    streamed: bool, ai: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    model_server.chat(calling(streamed), Says("Sunny"))
    if streamed:
        events = await stream(ai, "What is the weather?", tools=TOOLS)
        first = events[-1].response
        assert "response.function_call_arguments.done" in [event.type for event in events]
    else:
        first = await respond(ai, "What is the weather?", tools=TOOLS)
    [call] = first.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"city": "Lisbon"})
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "25 degrees"}
    second = await respond(ai, [output], previous_response_id=first.id, tools=TOOLS)
    assert second.output_text == "Sunny"
    sent = model_server.conversations[-1]
    assert sent["tools"] == [{"type": "function", "function": {k: v for k, v in TOOLS[0].items() if k != "type"}}]
    assert sent["messages"][-3:] == [
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "25 degrees"},
    ]
    third = await respond(ai, "Thanks", previous_response_id=second.id)
    assert third.conversation.id == first.conversation.id


async def test_stream_has_the_events_of_a_response(ai: openai.AsyncOpenAI, model_server: ModelServer) -> None:
    model_server.chat(Says("Good", " morning"))
    events = await stream(ai, [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}])
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    finished = events[-1].response
    assert finished.output_text == "Good morning"
    assert finished.id == events[0].response.id
    assert (await ai.responses.retrieve(finished.id)).output_text == "Good morning"


async def test_client_that_closes_a_stream_leaves_an_interrupted_turn(
    ai: openai.AsyncOpenAI, model_server: ModelServer, served: ServedModel, key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    model_server.always(Hangs(after=("Half",)))
    events = await respond(ai, "I live in Faro.", stream=True)
    async for event in events:
        if event.type == "response.created":
            conversation = event.response.conversation.id
        if event.type == "response.output_text.delta":
            break
    await events.close()
    await wait_for(lambda: model_server.abandoned)
    await wait_for(lambda: not served.resources.running_turns)
    model_server.always(Says("Hello"))
    await free_again(ai, metadata={"session_id": conversation.removeprefix("conv_")})
    items: list[Any] = [item async for item in ai.conversations.items.list(conversation, order="asc")]
    assert [item.content[0].text for item in items] == ["I live in Faro.", "Half", "Still there?", "Hello"]
    assert "I live in Faro." not in await admin_rows.memory_contents(key_holder.project_id, "episode")


async def test_helper_of_the_client_reads_the_stream(ai: openai.AsyncOpenAI, model_server: ModelServer) -> None:
    model_server.chat(Says("Good", " morning"))
    async with ai.responses.stream(model="test-model", input="Hi", user="ann") as helper:
        async for _ in helper:
            pass
        assert (await helper.get_final_response()).output_text == "Good morning"


async def test_response_is_retrieved_and_deleted(
    ai: openai.AsyncOpenAI, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    model_server.chat(Says("Hello"))
    made = await respond(ai, "Hi there")
    items: list[Any] = [item async for item in ai.responses.input_items.list(made.id)]
    assert [item.content[0].text for item in items] == ["Hi there"]
    await ai.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await ai.responses.retrieve(made.id)
    assert [item async for item in ai.conversations.items.list(made.conversation.id)] == []


async def test_store_false_is_incognito(
    ai: openai.AsyncOpenAI, model_server: ModelServer, key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    made = await respond(ai, "My secret is Puffin", store=False)
    assert made.conversation is None
    assert model_server.conversations[0]["store"] is False
    assert await admin_rows.tables_containing("My secret is Puffin") == []
    with pytest.raises(openai.NotFoundError, match="not kept"):
        await ai.responses.retrieve(made.id)


async def test_conversation_is_a_session(
    ai: openai.AsyncOpenAI, model_server: ModelServer, key_holder: KeyHolder
) -> None:
    conversation = await ai.conversations.create(
        metadata={"user_id": "ann", "title": "Colours"}, items=[{"role": "user", "content": "My colour is teal."}]
    )
    session = (await key_holder.client.get("/v1/sessions", params={"user_id": "ann"})).json()["results"][0]
    assert conversation.id == f"conv_{session['id'].replace('-', '')}"
    model_server.chat(Says("Teal"))
    answer = await respond(ai, "Which colour?", conversation=conversation.id)
    assert answer.output_text == "Teal"
    assert spoken(model_server.conversations[0]) == ["My colour is teal.", "Which colour?"]
    items: list[Any] = [item async for item in ai.conversations.items.list(conversation.id, order="asc", limit=2)]
    assert [item.content[0].text for item in items] == ["My colour is teal.", "Which colour?", "Teal"]
    added = await ai.conversations.items.create(conversation.id, items=[{"role": "user", "content": "Thanks"}])
    item = await ai.conversations.items.retrieve(str(added.data[0].id), conversation_id=conversation.id)
    assert item.role == "user"  # type: ignore[union-attr]
    await ai.conversations.items.delete(str(item.id), conversation_id=conversation.id)
    changed = await ai.conversations.update(conversation.id, metadata={"title": "Paint"})
    assert changed.metadata["title"] == "Paint"  # type: ignore[index]
    assert (await ai.conversations.retrieve(conversation.id)).metadata == changed.metadata
    with pytest.raises(openai.BadRequestError, match="colour"):
        await ai.conversations.update(conversation.id, metadata={"colour": "teal"})
    with pytest.raises(openai.BadRequestError, match="can have user_id, profile_id, title, privacy_mode"):
        await ai.conversations.create(metadata={"user_id": "bo", "session_id": "teal"})
    assert (await ai.conversations.delete(conversation.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await ai.conversations.retrieve(conversation.id)


@pytest.mark.parametrize(
    "change",
    [
        {"background": True},
        {"input": []},
        {"input": [{"type": "computer_call_output"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        {"tools": [{"type": "web_search"}]},
        {"input": "nul \x00"},
        {"conversation": {}},
        {"conversation": "conv_1", "previous_response_id": "resp_1"},
        {"metadata": {"privacy_mode": "incognitoo"}},
    ],
    ids=["background", "empty", "item", "part", "tool", "nul", "conversation", "both", "mode"],
)
async def test_invalid_response_is_refused(
    change: dict[str, Any], ai: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    with pytest.raises(openai.BadRequestError):
        await respond(ai, **{"given": "Hi", **change}) if "input" not in change else await respond(ai, change["input"])
    assert model_server.conversations == []


async def test_wrong_key_and_other_projects_are_refused(
    ai: openai.AsyncOpenAI, connect_openai: ConnectOpenAI, make_key: MakeKey, owner: SignedUp, model_server: ModelServer
) -> None:
    made = await respond(ai, "Hi")
    other = connect_openai((await make_key(project=owner.project_id)).key)
    for refused in (
        respond(other, "Hi", previous_response_id=made.id),
        respond(other, "Hi", conversation=made.conversation.id),
        other.responses.retrieve(made.id),
        other.conversations.retrieve(made.conversation.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await refused
    with pytest.raises(openai.AuthenticationError):
        await respond(connect_openai("ks_wrong"), "Hi")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_failures_of_the_model_are_errors(
    streamed: bool, ai: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    model_server.chat(Fails(500))
    with pytest.raises(openai.InternalServerError):
        await respond(ai, "Hi", stream=streamed)
    if streamed:
        model_server.chat(Says("Half", finished=False))
        with pytest.raises(openai.APIError, match="before it was complete"):
            await stream(ai, "Hi")
