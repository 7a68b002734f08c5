"""What each door costs beside the plain route: `python -m bench.doors`.

CPU of the server process per request over HTTP on loopback, for the same work through the plain route and through a
door for another protocol. All take turns in small batches in one run, so that a busy machine affects each alike; the
medians of the batches count. `idle` is an estimate: what a door takes more, divided by how much slower than on idle
cores a known request is. A door adds a line to `door_pairs`. The last line is one JSON object.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.gateways.mem0.memories.render import MemoryRead
from bench.auth import Server, serving

TARGET_MS = 1.0
MEMORIES = 20
QUERY = "What does Ann like to drink in the morning?"
NUMBER = "@number"
"""Replaced by another number in each request, so that what is added is new."""
IDLE_SECONDS, IDLE_SHARE, MOST_WAITS = 0.01, 0.1, 20
WARM_UP = 30
REFERENCE_IDLE_MS = 0.95
"""What `bench.auth` measured on idle cores for a request that only identifies its caller."""
FAILED = (b'"isError":true', b'"errors":', b'"type": "error"')


@dataclass(frozen=True)
class BenchRequest:
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DoorBench:
    """One piece of work, through the plain route and through a door."""

    name: str
    plain: BenchRequest
    door: BenchRequest


@dataclass(frozen=True)
class Stored:
    """What the requests are about."""

    memory_id: str
    plain_session: str
    door_session: str
    store: str
    store_profile: str
    written_store: str
    document_id: str


# ---------------------------------------------------------------- requests


OLDER, NEWEST = "2025-06-18", "2026-07-28"
SUMMARY_FIELDS = ["id", "memory", "user_id", "metadata", "categories", "created_at", "updated_at"]
ALL_FIELDS = list(MemoryRead.model_fields)
ANN = {"user_id": "ann"}
SEARCH_ARGUMENTS = {"query": QUERY, "filters": ANN}
LIST_ARGUMENTS = {"filters": ANN, "page_size": 10}
SEARCH = BenchRequest("/v3/memories/search/", SEARCH_ARGUMENTS)
LIST = BenchRequest("/v3/memories/?page_size=10", {"filters": ANN})
SAID = f"Bob bought {NUMBER} apples on the market"
ADD = BenchRequest("/v3/memories/add/", {"messages": SAID, "user_id": "bob", "infer": False})
MUTATION = """mutation Add($input: AddMemoriesInput!) {
  add_memories(input: $input) { message status event_id results { id event data { memory } } }
}"""
ADD_INPUT = {"messages": [{"content": SAID}], "user_id": "bob", "infer": False}
PAUSED = {"user": "ann", "metadata": {"privacy_mode": "pause_memories"}}
CHAT = BenchRequest("/v1/chat", {"message": QUERY, "user_id": "ann", "privacy_mode": "pause_memories"})
# A user without memories: the question is embedded, and nothing is found.
EMBED = BenchRequest("/v3/memories/search/", {"query": SAID, "filters": {"user_id": "nobody"}})


def picked(request: BenchRequest, fields: Sequence[str]) -> BenchRequest:
    return BenchRequest(request.path, {**(request.body or {}), "fields": list(fields)})


def mcp_call(version: str, tool: str, arguments: Mapping[str, Any]) -> BenchRequest:
    parameters: dict[str, Any] = {"name": tool, "arguments": arguments}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
    if version == NEWEST:
        prefix = "io.modelcontextprotocol/"
        parameters["_meta"] = {f"{prefix}protocolVersion": version, f"{prefix}clientCapabilities": {}}
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
    return BenchRequest("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}, headers)


def mcp_pairs(version: str) -> list[DoorBench]:
    added = {"text": SAID, "user_id": "bob", "infer": False}
    return [
        DoorBench(f"mcp {version} search", SEARCH, mcp_call(version, "search_memories", SEARCH_ARGUMENTS)),
        DoorBench(f"mcp {version} list", LIST, mcp_call(version, "get_memories", LIST_ARGUMENTS)),
        DoorBench(f"mcp {version} add", ADD, mcp_call(version, "add_memory", added)),
    ]


def graphql_request(query: str, variables: Mapping[str, Any]) -> BenchRequest:
    return BenchRequest("/graphql", {"query": query, "variables": variables})


def graphql_search(fields: Sequence[str]) -> BenchRequest:
    found = f"results {{ {' '.join(fields)} score }} answerable by_meaning"
    query = (
        f"query Search($query: String!, $where: SearchFilter) {{ search(query: $query, where: $where) {{ {found} }} }}"
    )
    return graphql_request(query, {"query": QUERY, "where": {"filters": ANN}})


def graphql_list(fields: Sequence[str]) -> BenchRequest:
    found = f"count next_page results {{ {' '.join(fields)} }}"
    query = f"query List($where: MemoryFilter) {{ memories(where: $where, page_size: 10) {{ {found} }} }}"
    return graphql_request(query, {"where": {"filters": ANN}})


GRAPHQL = [
    DoorBench("graphql search, 8 fields", picked(SEARCH, [*SUMMARY_FIELDS, "score"]), graphql_search(SUMMARY_FIELDS)),
    DoorBench("graphql search, all fields", SEARCH, graphql_search(ALL_FIELDS)),
    DoorBench("graphql list, 7 fields", picked(LIST, SUMMARY_FIELDS), graphql_list(SUMMARY_FIELDS)),
    DoorBench("graphql list, all fields", LIST, graphql_list(ALL_FIELDS)),
    DoorBench("graphql add", ADD, graphql_request(MUTATION, {"input": ADD_INPUT})),
]


def openai_pairs(stored: Stored) -> list[DoorBench]:
    turn = BenchRequest(f"/v1/sessions/{stored.plain_session}/messages", {"content": QUERY})
    question = {"messages": [{"role": "user", "content": QUERY}], "metadata": {"session_id": stored.door_session}}
    streamed = {"stream": True}
    return [
        DoorBench("openai completion", turn, BenchRequest("/v1/chat/completions", question)),
        DoorBench(
            "openai completion, streamed",
            BenchRequest(turn.path, {"content": QUERY, **streamed}),
            BenchRequest("/v1/chat/completions", {**question, **streamed}),
        ),
        DoorBench("openai response", CHAT, BenchRequest("/v1/responses", {"input": QUERY, **PAUSED})),
        DoorBench("openai embedding", EMBED, BenchRequest("/v1/embeddings", {"input": SAID, "model": "any"})),
    ]


def anthropic_pairs(stored: Stored) -> list[DoorBench]:
    memories = f"/v1/memory_stores/{stored.store}/memories"
    place = {"profile_id": stored.store_profile}
    plain_list = BenchRequest(LIST.path, {"filters": {"user_id": "carl"}, **place})
    add = BenchRequest(ADD.path, {"messages": SAID, "user_id": "dora", "metadata": {"path": "a"}, "infer": False})
    document = {"path": f"/notes/{NUMBER}.md", "content": SAID}
    return [
        DoorBench("anthropic list", plain_list, BenchRequest(f"{memories}?limit=10&view=full")),
        DoorBench(
            "anthropic get",
            BenchRequest(f"/v1/memories/{stored.memory_id}/"),
            BenchRequest(f"{memories}/{stored.document_id}?view=full"),
        ),
        DoorBench(
            "anthropic create", add, BenchRequest(f"/v1/memory_stores/{stored.written_store}/memories", document)
        ),
    ]


def door_pairs(stored: Stored) -> list[DoorBench]:
    return [*anthropic_pairs(stored), *GRAPHQL, *mcp_pairs(OLDER), *mcp_pairs(NEWEST), *openai_pairs(stored)]


# ---------------------------------------------------------------- what they are about


async def store_memories(client: httpx.AsyncClient) -> Stored:
    messages = [{"role": "user", "content": f"Ann likes tea number {place} at breakfast"} for place in range(MEMORIES)]
    added = await post(client, ADD.path, {"messages": messages, "user_id": "ann", "infer": False})
    store = await post(client, "/v1/memory_stores", {"name": "read", "metadata": {"user_id": "carl"}})
    written = await post(client, "/v1/memory_stores", {"name": "written", "metadata": {"user_id": "dora"}})
    sessions = [(await post(client, "/v1/sessions", {"user_id": "ann"}))["id"] for _ in range(2)]
    documents = [
        await post(
            client,
            f"/v1/memory_stores/{store['id']}/memories",
            {"path": f"/notes/{place}.md", "content": f"Carl bought {place} pears at the market"},
        )
        for place in range(MEMORIES)
    ]
    return Stored(
        memory_id=added["results"][0]["id"],
        plain_session=sessions[0],
        door_session=sessions[1],
        store=store["id"],
        store_profile=store["id"].removeprefix("memstore_"),
        written_store=written["id"],
        document_id=documents[0]["id"],
    )


async def post(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> Any:
    return (await client.post(path, json=body)).raise_for_status().json()


# ---------------------------------------------------------------- measuring


def precise_cpu(server: Server) -> float:
    """Seconds of the process: `psutil` counts hundredths, which is longer than a batch takes."""
    return time.clock_gettime(~server.process.pid << 3 | 2) if sys.platform == "linux" else server.cpu()


class Bench:
    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        self._server = server
        self._client = client
        self._numbers = itertools.count(1)

    async def send(self, request: BenchRequest, times: int, *, with_rest: bool = True) -> float:
        """Milliseconds of CPU per request, and of what the server does after it has answered."""
        before = precise_cpu(self._server)
        for _ in range(times):
            await self._send_one(request)
        if with_rest:
            await self._wait_until_idle()
        return (precise_cpu(self._server) - before) * 1000 / times

    async def _send_one(self, request: BenchRequest) -> None:
        headers = {"Content-Type": "application/json", **request.headers}
        content = json.dumps(request.body).replace(NUMBER, str(next(self._numbers))) if request.body else None
        response = await self._client.request(
            "POST" if content else "GET", request.path, content=content, headers=headers
        )
        assert response.is_success, response.text
        assert not any(each in response.content for each in FAILED), response.text

    async def _wait_until_idle(self) -> None:
        """What was added is indexed after the response."""
        for _ in range(MOST_WAITS):
            before = precise_cpu(self._server)
            await asyncio.sleep(IDLE_SECONDS)
            if precise_cpu(self._server) - before < IDLE_SECONDS * IDLE_SHARE:
                return


async def measure(server: Server, options: argparse.Namespace) -> tuple[float, dict[str, dict[str, float]]]:
    """How much slower the machine is than an idle one, and the figures of each door."""
    headers = {"Authorization": f"Token {server.key}"}
    async with httpx.AsyncClient(base_url=server.address, headers=headers, timeout=60) as client:
        pairs = [each for each in door_pairs(await store_memories(client)) if options.door in each.name]
        bench = Bench(server, client)
        for pair in pairs:
            await bench.send(pair.plain, WARM_UP)
            await bench.send(pair.door, WARM_UP)
        batches: dict[str, list[tuple[float, float]]] = defaultdict(list)
        references = []
        for _ in range(options.rounds):
            references.append(await bench.send(BenchRequest("/nothing"), options.batch, with_rest=False))
            for pair in pairs:
                plain = await bench.send(pair.plain, options.batch)
                batches[pair.name].append((plain, await bench.send(pair.door, options.batch)))
    slowness = statistics.median(references) / REFERENCE_IDLE_MS
    return slowness, {name: summarize(found, slowness) for name, found in batches.items()}


def summarize(batches: Sequence[tuple[float, float]], slowness: float) -> dict[str, float]:
    plain, door = (statistics.median(column) for column in zip(*batches, strict=True))
    more = statistics.median(through - beside for beside, through in batches)
    figures = {"plain_ms": plain, "door_ms": door, "more_ms": more, "idle_ms": more / slowness, "ratio": door / plain}
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=10, help="Requests of one turn.")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--door", default="", help="Only those whose name contains this.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keepsake-bench-") as folder, serving("keepsake", Path(folder)) as server:
        slowness, found = asyncio.run(measure(server, options))
    print(f"A request that only identifies its caller takes {slowness:.2f} times as long as on idle cores.")
    print(f"{'milliseconds of CPU':28} {'plain':>7} {'door':>7} {'more':>7} {'idle':>7} {'ratio':>6}")
    for name, each in found.items():
        print(
            f"{name:28} {each['plain_ms']:7.3f} {each['door_ms']:7.3f} {each['more_ms']:+7.3f} {each['idle_ms']:+7.3f}"
            f" {each['ratio']:6.2f}{'   ABOVE' if each['idle_ms'] > TARGET_MS else ''}"
        )
    print(json.dumps({"bench": "doors", "cpu_ms": found, "slowness": round(slowness, 2), "target_ms": TARGET_MS}))


if __name__ == "__main__":
    main()
