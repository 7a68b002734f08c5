import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from structlog.testing import capture_logs

from app.adapters.in_process import InProcessCounters
from app.core.rate_limit import RateLimits, read_limit
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import KeyHolder, open_client
from tests.gateways.mcp.conftest import ERAS, MODERN, ConnectMcp, refusal, use

PREFIX = "io.modelcontextprotocol/"
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


def call(tool: str, **arguments: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


@pytest.mark.parametrize(("era", "key"), [(MODERN, "ks_wrong"), ("legacy", "eyJhbGciOiJub25lIn0.e30.")])
async def test_a_wrong_credential_is_refused_with_a_reason(connect_mcp: ConnectMcp, era: str, key: str) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with connect_mcp(key, era) as client:
            await client.list_tools()
    error = find_error(raised.value)
    assert error.error.data["code"] in ("unauthorized", "invalid_token")
    assert error.error.data["request_id"]


def find_error(group: BaseException) -> MCPError:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    assert isinstance(group, MCPError)
    return group


async def test_a_request_without_a_credential_is_challenged(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post("/mcp", json=call("get_memories"), headers=HEADERS)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["error"]["data"]["code"] == "unauthorized"


@asynccontextmanager
async def connect_in_process(app: FastAPI, key: str) -> AsyncIterator[Client]:
    transport = httpx2.ASGITransport(app=app)
    async with (
        httpx2.AsyncClient(transport=transport, headers={"Authorization": f"Bearer {key}"}) as http,
        Client(streamable_http_client("http://127.0.0.1/mcp", http_client=http), mode=MODERN) as client,
    ):
        yield client


async def use_often(client: Client, times: int) -> None:
    for _ in range(times):
        await use(client, "get_memories", user_id="ann")


async def test_calls_count_against_the_rate_limits(resources: Resources, key_holder: KeyHolder) -> None:
    generous = {name: read_limit(name, "1000/minute") for name in ("project", "account", "everyone", "chat")}
    counters = InProcessCounters(clock=lambda: 1000.0)  # no minute ends during the test
    limits = RateLimits(counters, user=read_limit("rate_limit_user", "3/minute"), **generous)
    async with connect_in_process(create_app(replace(resources, limits=limits)), key_holder.key) as client:
        await use(client, "get_memories", user_id="ann")
        with pytest.raises(MCPError) as raised:
            await use_often(client, 3)
    assert raised.value.error.data["code"] == "rate_limited"
    assert "3" in raised.value.error.message


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:6274", 200),
        ("http://localhost", 200),
        ("https://attacker.example", 403),
        ("http://127.0.0.1.attacker.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
async def test_a_page_of_another_origin_is_refused(key_holder: KeyHolder, origin: str, status: int) -> None:
    """Its name may have been made to point to this server, so that the browser takes it for the same origin."""
    headers = {**HEADERS, "Origin": origin}
    response = await key_holder.client.post("/mcp", json=call("get_memories", user_id="ann"), headers=headers)
    assert response.status_code == status, response.text


async def test_the_base_url_is_an_own_origin(resources: Resources, key_holder: KeyHolder) -> None:
    config = replace(resources.config, base_url="https://memory.example.com")
    async with open_client(create_app(replace(resources, config=config)), key_holder.key) as client:
        headers = {**HEADERS, "Origin": "https://memory.example.com"}
        assert (await client.post("/mcp", json=call("list_events"), headers=headers)).status_code == 200


async def test_a_body_that_is_too_large_is_refused(resources: Resources, key_holder: KeyHolder) -> None:
    config = replace(resources.config, max_body_bytes=3000)
    async with open_client(create_app(replace(resources, config=config)), key_holder.key) as client:
        response = await client.post("/mcp", json=call("add_memory", text="x" * 4000), headers=HEADERS)
    assert (response.status_code, response.json()["error"]["data"]["code"]) == (413, "too_large")


async def test_there_is_no_session_to_take_over(client: httpx.AsyncClient) -> None:
    for method in ("GET", "DELETE"):
        response = await client.request(method, "/mcp", headers={**HEADERS, "Mcp-Session-Id": "1"})
        refused = response.json()
        assert (response.status_code, response.headers["Allow"], refused["id"]) == (405, "POST", None)
        assert refused["error"]["data"]["code"] == "method_not_allowed"
        assert method in refused["error"]["message"]
    response = await client.post("/mcp/", json=call("list_events"), headers=HEADERS)
    assert response.status_code == 200
    assert "mcp-session-id" not in response.headers
    assert response.headers["X-Request-ID"]
    assert response.headers["X-RateLimit-Limit"]


@pytest.mark.parametrize("version", [MODERN, "2024-11-05", "2031-01-01"])
async def test_a_message_that_is_not_valid_gets_an_error_of_the_protocol(
    client: httpx.AsyncClient, version: str
) -> None:
    headers = {**HEADERS, "MCP-Protocol-Version": version, "Content-Type": "application/json"}
    for body in ("no json S3CRET", '["S3CRET"]', '{"id":1,"S3CRET":"S3CRET"}', '"S3CRET"', '{"id":"S3CRET"}', "[]"):
        response = await client.post("/mcp", content=body, headers=headers)
        error = response.json()["error"]
        assert (response.status_code, response.json()["id"]) == (400, None), body
        assert (error["data"]["code"], bool(error["data"]["request_id"])) == ("bad_request", True)
        assert (error["message"] != "", "S3CRET" in response.text) == (True, False), "the message is not repeated"
    unknown = '{"jsonrpc":"2.0","id":1,"method":"no/such"}'
    response = await client.post("/mcp", content=unknown, headers=headers)
    assert (response.json()["id"], bool(response.json()["error"]["message"])) == (1, True)


@pytest.mark.parametrize("version", [MODERN, "2025-06-18"])
async def test_a_client_that_takes_no_json_is_told_what_to_accept(client: httpx.AsyncClient, version: str) -> None:
    headers = {"MCP-Protocol-Version": version, "Accept": "text/html"}
    response = await client.post("/mcp", json=call("list_events"), headers=headers)
    assert (response.status_code, "application/json" in response.json()["error"]["message"]) == (406, True)


@pytest.mark.parametrize(
    "parameters",
    [
        {"name": "search_memories", "arguments": {"query": "tea", "user_id": "ann"}},
        {"name": "search_memories", "arguments": {"query": 3}},
        {"name": "no_such_tool"},
        {"arguments": {}},
        None,
    ],
    ids=["found", "refused by the tool", "unknown", "without a name", "without parameters"],
)
async def test_a_call_is_answered_as_by_the_package(client: httpx.AsyncClient, parameters: object) -> None:
    message = {"jsonrpc": "2.0", "id": "a", "method": "tools/call", **({"params": parameters} if parameters else {})}
    for version in ("2024-11-05", "2025-06-18"):
        assert await is_answered_alike(client, message, {"MCP-Protocol-Version": version}) == 200


ENVELOPE = {f"{PREFIX}protocolVersion": MODERN, f"{PREFIX}clientCapabilities": {}}
CALL = {"name": "search_memories", "arguments": {"query": "tea", "user_id": "ann"}}


@pytest.mark.parametrize(
    ("parameters", "headers", "status"),
    [
        ({**CALL, "_meta": ENVELOPE}, {}, 200),
        ({**CALL, "_meta": {**ENVELOPE, "progressToken": 1}, "arguments": {"query": 3}}, {}, 200),
        ({**CALL, "_meta": ENVELOPE, "arguments": []}, {}, 400),
        ({"name": "no_such_tool", "_meta": ENVELOPE}, {"Mcp-Name": "no_such_tool"}, 400),
        (CALL, {}, 400),
        ({**CALL, "_meta": ENVELOPE}, {"Mcp-Name": "add_memory"}, 400),
        ({**CALL, "_meta": ENVELOPE}, {"Mcp-Method": "tools/list"}, 400),
        ({**CALL, "_meta": {**ENVELOPE, f"{PREFIX}protocolVersion": "2099-01-01"}}, {}, 400),
        (
            {**CALL, "_meta": {**ENVELOPE, f"{PREFIX}protocolVersion": "2099-01-01"}},
            {"MCP-Protocol-Version": "2099-01-01"},
            400,
        ),
    ],
    ids=[
        *("found", "refused by the tool", "no arguments", "unknown", "without envelope", "another name"),
        *("another method", "another version", "unknown version"),
    ],
)
async def test_a_call_of_the_newest_version_is_answered_as_by_the_package(
    client: httpx.AsyncClient, parameters: object, headers: dict[str, str], status: int
) -> None:
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": parameters}
    newest = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "search_memories", **headers}
    assert await is_answered_alike(client, message, newest) == status


async def is_answered_alike(client: httpx.AsyncClient, message: object, headers: dict[str, str]) -> int:
    """The package answers a call with another Content-Type than clients send."""
    direct, packaged = [
        await client.post(
            "/mcp",
            content=json.dumps(message),
            headers={**HEADERS, **headers, "X-Request-ID": "r" * 32, "Content-Type": f"application/json{more}"},
        )
        for more in ("", "; charset=utf-8")
    ]
    assert (direct.status_code, direct.json()) == (packaged.status_code, packaged.json())
    assert direct.headers["Content-Type"] == packaged.headers["Content-Type"]
    return direct.status_code


@pytest.mark.usefixtures("debug_logging")
async def test_content_is_in_no_log(
    connect_mcp: ConnectMcp, key_holder: KeyHolder, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "S3CRET"  # a word to look for
    for era in ERAS:
        async with connect_mcp(key_holder.key, era, headers={"X-Keepsake-User-Id": "ann"}) as client:
            await use(client, "add_memory", text=f"My word is {secret}", infer=False)
            await use(client, "search_memories", query=secret)
            await refusal(client, "search_memories", query=secret, threshold=secret)
            await refusal(client, "get_memory", memory_id=secret)
            await use(client, "forget", what=f"that my word is {secret}")
    logged = capsys.readouterr()
    assert "route=/mcp" in logged.out or '"/mcp"' in logged.out, "nothing was logged, so nothing was shown"
    assert secret not in logged.out + logged.err


async def test_an_unexpected_failure_says_nothing_about_its_cause(resources: Resources, key_holder: KeyHolder) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("S3CRET")

    app = create_app(replace(resources, disk_space=Broken()))  # type: ignore[arg-type]  # it must break
    with capture_logs() as logs:
        for version in ("2025-06-18", None):
            async with open_client(app, key_holder.key) as client:
                headers = {name: value for name, value in HEADERS.items() if version or name == "Accept"}
                response = await client.post(
                    "/mcp", json=call("add_memory", text="tea", agent_id="bot"), headers=headers
                )
            result = response.json()["result"]
            assert result["isError"] is True
            assert json.loads(result["content"][0]["text"])["code"] == "internal_error"
            assert "S3CRET" not in response.text
    assert [each["event"] for each in logs].count("request.failed") == 2
