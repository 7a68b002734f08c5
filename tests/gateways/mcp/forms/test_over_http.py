"""Forms for older clients: what goes over the wire, and who can answer."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from app.core.resources import Resources
from app.gateways.mcp.forms.over_http import MAX_OPEN, OPEN, OpenForms
from app.identity.caller import Caller
from app.main import create_app
from tests.conftest import KeyHolder, MakeKey, open_client
from tests.gateways.mcp.conftest import Json
from tests.gateways.mcp.test_forget_tool import TEA

HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
USER = {"X-Keepsake-User-Id": "ann"}
YES = {"action": "accept", "content": {"confirm": True}}


class OlderClient:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def begin(self, version: str, **capabilities: Json) -> httpx.Response:
        about = {"name": "x", "version": "1"}
        handshake = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": about}
        response = await self.post({"id": 1, "method": "initialize", "params": handshake})
        if session := response.headers.get("Mcp-Session-Id"):
            self.http.headers["Mcp-Session-Id"] = session
        return response

    async def post(self, message: Json) -> httpx.Response:
        return await self.http.post("/mcp", json={"jsonrpc": "2.0", **message})

    async def call(self, name: str, **arguments: object) -> str:
        response = await self.post({"id": 2, "method": "tools/call", "params": {"name": name, "arguments": arguments}})
        text: str = response.json()["result"]["content"][0]["text"]
        return text

    @asynccontextmanager
    async def forget(self) -> AsyncIterator[AsyncIterator[Json]]:
        """The messages of the answer, which stays open."""
        params = {"name": "forget", "arguments": {"what": TEA}}
        body = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}
        async with self.http.stream("POST", "/mcp", json=body) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            yield (json.loads(line[6:]) async for line in response.aiter_lines() if line.startswith("data: "))


@pytest_asyncio.fixture
async def older(app_url: str, key_holder: KeyHolder) -> AsyncIterator[OlderClient]:
    headers = {**HEADERS, **USER, "Authorization": f"Bearer {key_holder.key}"}
    async with httpx.AsyncClient(base_url=app_url, headers=headers, timeout=30) as http:
        client = OlderClient(http)
        await client.begin("2025-06-18", elicitation={})
        await client.call("add_memory", text="I like green tea", infer=False)
        yield client


async def test_only_the_caller_that_was_asked_can_answer(
    older: OlderClient, make_key: MakeKey, resources: Resources, key_holder: KeyHolder
) -> None:
    stranger = (await make_key()).client
    stranger.headers.update({**HEADERS, "Mcp-Session-Id": older.http.headers["Mcp-Session-Id"]})
    async with older.forget() as messages, open_client(create_app(resources), key_holder.key) as another_process:
        asked = await anext(messages)
        assert (asked["method"], "green tea" in asked["params"]["message"]) == ("elicitation/create", True)
        refusal = {"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}}
        assert (await stranger.post("/mcp", json=refusal)).status_code == 202
        another_process.headers.update({**HEADERS, "Mcp-Session-Id": older.http.headers["Mcp-Session-Id"]})
        accepted = await another_process.post("/mcp", json={**refusal, "result": YES})
        assert (accepted.status_code, accepted.content) == (202, b"")
        done = await anext(messages)
        assert (done["id"], "DELETED" in done["result"]["content"][0]["text"]) == (3, True)
        assert "resultType" not in done["result"]
    assert "green tea" not in await older.call("get_memories")


async def test_key_that_was_revoked_meanwhile_deletes_nothing(
    older: OlderClient, key_holder: KeyHolder, resources: Resources
) -> None:
    async with older.forget() as messages:
        asked = await anext(messages)
        keys = (await key_holder.client.get("/v1/api-keys")).json()["results"]
        (own,) = (each["id"] for each in keys if key_holder.key.startswith(each["prefix"]))
        assert (await key_holder.client.delete(f"/v1/api-keys/{own}")).status_code == 200
        caller = Caller(key_holder.project_id, uuid.uuid4(), frozenset(), key_id=uuid.UUID(own))
        await OpenForms(resources, caller).answer({"id": asked["id"], "result": YES})  # it arrived just before
        refused = await anext(messages)
    assert "not valid" in refused["error"]["message"]


async def test_answer_that_is_none_deletes_nothing(older: OlderClient) -> None:
    long = {"action": "accept", "content": {"confirm": True, **{f"box{number}": True for number in range(300)}}}
    for answer in ({"error": {"code": 1, "message": "x"}}, {"result": {"action": "else"}}, {"result": long}):
        async with older.forget() as messages:
            assert (await older.post({"id": (await anext(messages))["id"], **answer})).status_code == 202
            assert "CANCELLED" in (await anext(messages))["result"]["content"][0]["text"]
    assert "green tea" in await older.call("get_memories")


@pytest.mark.parametrize(
    ("version", "capabilities", "has_forms"),
    [
        ("2025-06-18", {"elicitation": {}}, True),
        ("2025-11-25", {"elicitation": {"form": {}, "url": {}}}, True),
        ("2025-11-25", {"elicitation": {"url": {}}}, False),
        ("2025-06-18", {}, False),
        ("2025-03-26", {"elicitation": {}}, False),
    ],
    ids=["2025-06", "2025-11", "addresses only", "none", "before forms"],
)
async def test_session_says_whether_the_client_shows_forms(
    client: httpx.AsyncClient, version: str, capabilities: Json, has_forms: bool
) -> None:
    client.headers.update(HEADERS)
    response = await OlderClient(client).begin(version, **capabilities)
    assert (response.json()["result"]["protocolVersion"], "Mcp-Session-Id" in response.headers) == (version, has_forms)


async def test_model_asks_when_too_many_forms_are_open(older: OlderClient) -> None:
    open_forms = {f"form-{number}" for number in range(MAX_OPEN)}
    OPEN.update(open_forms)
    try:
        assert "confirmation_token" in await older.call("forget", what=TEA)
    finally:
        OPEN.difference_update(open_forms)


@pytest.mark.parametrize("where", ["id", "name"])
async def test_text_that_cannot_be_written_is_refused(older: OlderClient, where: str) -> None:
    surrogate = r'"\ud800"'
    number, name = (surrogate, '"get_memories"') if where == "id" else ("1", surrogate)
    body = f'{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":{name},"arguments":{{}}}}}}'
    refused = await older.http.post("/mcp", content=body, headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32700)
