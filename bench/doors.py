"""What each door costs beside the plain route: `python -m bench.doors`.

CPU of the server process per request over HTTP on loopback, for the same work through the plain route and through a
door for another protocol, taking turns in one run. A door adds a line to DOORS. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.auth import Server, serving

TARGET_MS = 1.0
MEMORIES = 20
CONNECTIONS = 4
QUERY = "What does Ann like to drink in the morning?"


@dataclass(frozen=True)
class BenchRequest:
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DoorBench:
    """One piece of work, through the plain route and through a door."""

    name: str
    plain: BenchRequest
    door: BenchRequest


def mcp_call(version: str, tool: str, arguments: Mapping[str, Any]) -> BenchRequest:
    parameters: dict[str, Any] = {"name": tool, "arguments": arguments}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
    if version == "2026-07-28":
        prefix = "io.modelcontextprotocol/"
        parameters["_meta"] = {f"{prefix}protocolVersion": version, f"{prefix}clientCapabilities": {}}
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
    return BenchRequest("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}, headers)


def graphql_query(query: str, variables: Mapping[str, Any]) -> BenchRequest:
    return BenchRequest("/graphql", {"query": query, "variables": variables})


FILTERS = {"user_id": "ann"}
MEMORY_FIELDS = "id memory user_id metadata categories created_at updated_at"
GRAPHQL_SEARCH = f"""query Search($query: String!, $where: SearchFilter) {{
  search(query: $query, where: $where) {{ answerable results {{ {MEMORY_FIELDS} score }} }}
}}"""
GRAPHQL_LIST = f"""query List($where: MemoryFilter) {{
  memories(where: $where, page_size: 10) {{ count next_page results {{ {MEMORY_FIELDS} }} }}
}}"""
WHERE = {"filters": FILTERS}
SEARCH = BenchRequest("/v3/memories/search/", {"query": QUERY, "filters": FILTERS})
LIST = BenchRequest("/v3/memories/?page_size=10", {"filters": FILTERS})
SEARCH_ARGUMENTS = {"query": QUERY, "filters": FILTERS}
LIST_ARGUMENTS = {"filters": FILTERS, "page_size": 10}
CHAT = BenchRequest("/v1/chat", {"message": QUERY, "user_id": "ann", "privacy_mode": "pause_memories"})
PAUSED = {"user": "ann", "metadata": {"privacy_mode": "pause_memories"}}
COMPLETION = BenchRequest("/v1/chat/completions", {"messages": [{"role": "user", "content": QUERY}], **PAUSED})
RESPONSE = BenchRequest("/v1/responses", {"input": QUERY, **PAUSED})
DOORS = (
    DoorBench("openai completion", CHAT, COMPLETION),
    DoorBench("openai response", CHAT, RESPONSE),
    DoorBench("mcp 2026-07-28 search", SEARCH, mcp_call("2026-07-28", "search_memories", SEARCH_ARGUMENTS)),
    DoorBench("mcp 2026-07-28 list", LIST, mcp_call("2026-07-28", "get_memories", LIST_ARGUMENTS)),
    DoorBench("mcp 2025-06-18 search", SEARCH, mcp_call("2025-06-18", "search_memories", SEARCH_ARGUMENTS)),
    DoorBench("mcp 2025-06-18 list", LIST, mcp_call("2025-06-18", "get_memories", LIST_ARGUMENTS)),
    DoorBench("graphql search", SEARCH, graphql_query(GRAPHQL_SEARCH, {"query": QUERY, "where": WHERE})),
    DoorBench("graphql list", LIST, graphql_query(GRAPHQL_LIST, {"where": WHERE})),
)


async def add_memories(client: httpx.AsyncClient) -> None:
    messages = [
        {"role": "user", "content": f"Ann likes tea number {place} in the morning"} for place in range(MEMORIES)
    ]
    body = {"messages": messages, "user_id": "ann", "infer": False}
    (await client.post("/v3/memories/add/", json=body)).raise_for_status()


async def send(server: Server, client: httpx.AsyncClient, request: BenchRequest, times: int) -> float:
    """Milliseconds of CPU per request."""
    content = json.dumps(request.body).encode()
    headers = {"Content-Type": "application/json", **request.headers}

    async def repeat(share: int) -> None:
        for _ in range(share):
            response = await client.post(request.path, content=content, headers=headers)
            assert response.status_code == httpx.codes.OK, response.text
            assert b'"isError":true' not in response.content, response.text
            assert b'"errors":' not in response.content, response.text

    before = server.cpu()
    await asyncio.gather(*(repeat(times // CONNECTIONS) for _ in range(CONNECTIONS)))
    return (server.cpu() - before) * 1000 / (times // CONNECTIONS * CONNECTIONS)


async def measure(server: Server, doors: Sequence[DoorBench], times: int, rounds: int) -> dict[str, dict[str, float]]:
    """The plain route and the door take turns, so that a busy moment of the machine affects both. Medians count."""
    headers = {"Authorization": f"Token {server.key}"}
    async with httpx.AsyncClient(base_url=server.address, headers=headers, timeout=60) as client:
        await add_memories(client)
        found: dict[str, dict[str, float]] = {}
        for bench in doors:
            for request in (bench.plain, bench.door):
                await send(server, client, request, 40)
            pairs = [
                (await send(server, client, bench.plain, times), await send(server, client, bench.door, times))
                for _ in range(rounds)
            ]
            plain, door = (statistics.median(column) for column in zip(*pairs, strict=True))
            more = statistics.median(through - beside for beside, through in pairs)
            found[bench.name] = {"plain_ms": round(plain, 3), "door_ms": round(door, 3), "more_ms": round(more, 3)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--door", default="", help="Only those whose name contains this")
    options = parser.parse_args()
    doors = [bench for bench in DOORS if options.door in bench.name]
    with tempfile.TemporaryDirectory(prefix="keepsake-bench-") as folder, serving("keepsake", Path(folder)) as server:
        found = asyncio.run(measure(server, doors, options.requests, options.rounds))
    for name, figures in found.items():
        print(
            f"{name:24} {figures['plain_ms']:6.3f} ms plain {figures['door_ms']:6.3f} ms through the door"
            f" {figures['more_ms']:+6.3f} ms   target < {TARGET_MS} ms"
        )
    print(json.dumps({"bench": "doors", "cpu_ms": found, "target_ms": TARGET_MS}))


if __name__ == "__main__":
    main()
