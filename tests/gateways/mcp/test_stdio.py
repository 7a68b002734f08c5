"""The command `python -m app mcp`, started by the client of the `mcp` package."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import ElicitResult

from app.gateways.mcp.forms.older_versions import VERSION_KEY
from app.gateways.mcp.stdio import MAX_LINE_BYTES, Bridge
from tests.conftest import KeyHolder
from tests.e2e.server import ROOT
from tests.gateways.mcp.conftest import Json, use
from tests.gateways.mcp.test_forget_tool import TEA, Person
from tests.loopback import free_port
from tests.patience import PATIENCE_SECONDS


@asynccontextmanager
async def start_command(url: str, key: str, mode: str) -> AsyncIterator[Client]:
    environment = {"KEEPSAKE_URL": url, "KEEPSAKE_API_KEY": key, "KEEPSAKE_USER_ID": "änn"}
    command = StdioServerParameters(command=sys.executable, args=["-m", "app", "mcp"], env=environment, cwd=ROOT)
    person = Person(ElicitResult(action="accept", content={"confirm": True}))
    async with Client(stdio_client(command), mode=mode, elicitation_callback=person) as client:
        yield client


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_client_uses_the_server_through_the_command(app_url: str, key_holder: KeyHolder, era: str) -> None:
    async with start_command(app_url, key_holder.key, era) as client:
        assert len((await client.list_tools()).tools) == 19
        added = await use(client, "add_memory", text="I like green tea", infer=False)
        (found,) = (await use(client, "search_memories", query="green tea"))["results"]
        assert found["user_id"] == "änn"
        await client.read_resource(f"keepsake://memories/{added['results'][0]['id']}")
        answer = await use(client, "forget", what=TEA)
        assert (answer["status"], len(answer["deleted_ids"])) == ("DELETED", 1), "confirmed in a form, in both eras"


@pytest.mark.parametrize("answer", ["decline", "error", "never", "forms before they existed"])
async def test_older_client_that_does_not_confirm_deletes_nothing(
    app_url: str, key_holder: KeyHolder, answer: str
) -> None:
    async with open_bridge(app_url, key_holder.key) as (send, receive):
        version = "2024-11-05" if "before" in answer else "2025-06-18"
        about = {"name": "x", "version": "1"}
        handshake = {"protocolVersion": version, "capabilities": {"elicitation": {}}, "clientInfo": about}
        send({"id": 1, "method": "initialize", "params": handshake})
        assert (await receive())["result"]["protocolVersion"] == version
        send(tool_call(2, "add_memory", text="I like green tea", infer=False))
        assert "resultType" not in (await receive())["result"]
        send(tool_call(3, "forget", what=TEA))
        asked = await receive()
        if "before" in answer:
            assert "confirmation_token" in asked["result"]["content"][0]["text"]
            return
        assert (asked["method"], "green tea" in asked["params"]["message"]) == ("elicitation/create", True)
        assert asked["params"]["requestedSchema"]["required"] == ["confirm"]
        if answer == "never":
            return
        said = {"result": {"action": "decline"}} if answer == "decline" else {"error": {"code": 1, "message": "x"}}
        send({"id": asked["id"], **said})
        forgotten = await receive()
        assert (forgotten["id"], "CANCELLED" in forgotten["result"]["content"][0]["text"]) == (3, True)
        send(tool_call(4, "get_memories"))
        assert "green tea" in (await receive())["result"]["content"][0]["text"]


def tool_call(number: int, name: str, **arguments: object) -> Json:
    return {"id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


@asynccontextmanager
async def open_bridge(
    url: str, key: str
) -> AsyncIterator[tuple[Callable[[Json], None], Callable[[], Awaitable[Json]]]]:
    """A client that writes lines and reads them. It ends its input at the end, and the bridge must end then."""
    reader, written = asyncio.StreamReader(), asyncio.Queue[bytes]()
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json", "X-Keepsake-User-Id": "ann"}

    def send(message: Json) -> None:
        reader.feed_data(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def receive() -> Json:
        message: Json = json.loads(await asyncio.wait_for(written.get(), PATIENCE_SECONDS))
        return message

    async with httpx.AsyncClient(headers={**headers, "Content-Type": "application/json"}, timeout=30) as http:
        serving = asyncio.create_task(Bridge(http, f"{url}/mcp", written.put_nowait).serve(reader))
        yield send, receive
        reader.feed_eof()
        await asyncio.wait_for(serving, PATIENCE_SECONDS)


def test_the_command_says_what_its_input_must_be() -> None:
    command = [sys.executable, "-m", "app", "mcp", "--key", "ks_any"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ended.returncode, "standard input must be a pipe" in ended.stderr) == (2, True)


async def exchange(url: str, key: str, *lines: str) -> list[Json]:
    """What the bridge writes in answer to these lines."""
    reader, written = asyncio.StreamReader(limit=MAX_LINE_BYTES), list[bytes]()
    reader.feed_data("".join(f"{line}\n" for line in lines).encode())
    reader.feed_eof()
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json", "Content-Type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http:
        await Bridge(http, f"{url}/mcp", written.append).serve(reader)
    return [json.loads(line) for line in written]


LIST = '{"jsonrpc":"2.0","id":"seven","method":"tools/list"}'


async def test_a_refusal_keeps_the_id_of_its_request(app_url: str) -> None:
    (answer,) = await exchange(app_url, "ks_wrong", LIST)
    assert answer["id"] == "seven"
    assert answer["error"]["data"]["code"] == "unauthorized"


async def test_an_error_says_that_no_server_answers() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    (answer,) = await exchange(url, "ks_any", LIST)
    assert (answer["id"], url in answer["error"]["message"]) == ("seven", True)


async def test_a_line_that_is_not_json_is_refused_and_the_next_is_served(app_url: str, key_holder: KeyHolder) -> None:
    notification = '{"jsonrpc":"2.0","method":"notifications/initialized"}'
    cancelled = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"no"}}'
    answers = await exchange(app_url, key_holder.key, "no json", notification, cancelled, "", "[]", LIST)
    assert [answer.get("id") for answer in answers] == [None, None, "seven"]
    assert [answer["error"]["code"] for answer in answers[:2]] == [-32700, -32600]
    assert answers[2]["result"]["tools"]


MALFORMED = {
    "deep": "[" * 100_000,
    "id that is a list": '{"jsonrpc":"2.0","id":[1],"method":"tools/list"}',
    "answer whose id is an object": '{"jsonrpc":"2.0","id":{},"result":{}}',
    "cancelled without an object": '{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}',
    "version that is no header": '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"V":"\u00fc"}}}',
    "method that is no text": '{"jsonrpc":"2.0","id":1,"method":"\\ud800","params":{"_meta":{"V":"2026-07-28"}}}',
    "too long": f'"{"a" * (MAX_LINE_BYTES + 1)}"',
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_no_line_ends_the_bridge(app_url: str, key_holder: KeyHolder, kind: str) -> None:
    line = MALFORMED[kind].replace('"V"', f'"{VERSION_KEY}"')
    *errors, last = await exchange(app_url, key_holder.key, line, LIST)
    assert (last["id"], "result" in last) == ("seven", True)
    assert all("error" in answer for answer in errors)
    assert len(errors) == (0 if kind.startswith("cancelled") else 1), "the client is told, and only once"


@pytest.mark.parametrize("before", [[], [{"method": "notifications/cancelled", "params": {"requestId": 3}}]])
async def test_the_first_answer_to_a_form_counts(app_url: str, key_holder: KeyHolder, before: list[Json]) -> None:
    """Also if a second one is read at once, or the call of the form was cancelled just before."""
    async with open_bridge(app_url, key_holder.key) as (send, receive):
        about = {"name": "x", "version": "1"}
        handshake = {"protocolVersion": "2025-06-18", "capabilities": {"elicitation": {}}, "clientInfo": about}
        send({"id": 1, "method": "initialize", "params": handshake})
        await receive()
        send(tool_call(2, "add_memory", text="I like green tea", infer=False))
        await receive()
        send(tool_call(3, "forget", what=TEA))
        asked = await receive()
        for message in before:
            send(message)
        send({"id": asked["id"], "result": {"action": "decline"}})
        send({"id": asked["id"], "result": {"action": "accept", "content": {"confirm": True}}})
        if not before:
            assert "CANCELLED" in (await receive())["result"]["content"][0]["text"]
        send(tool_call(4, "get_memories"))
        assert "green tea" in (await receive())["result"]["content"][0]["text"]
