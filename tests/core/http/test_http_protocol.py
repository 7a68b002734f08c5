"""Limits of connections, on a real server without a proxy. Each test shortens the seconds that it is about."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from app.core.http.connection_limits import ConnectionLimits, ConnectionRules, raise_open_files
from app.core.http.http_protocol import limited_protocol
from app.core.observability.metrics import REGISTRY
from tests.patience import PATIENCE_SECONDS, succeeds

OTHER_ADDRESS = "127.0.0.9"
SHORT = 0.3
RULES = ConnectionRules(
    head_seconds=PATIENCE_SECONDS,
    body_seconds=PATIENCE_SECONDS,
    unread_seconds=PATIENCE_SECONDS,
    stalled_seconds=PATIENCE_SECONDS,
    look_seconds=0.05,
)
SLOW_HEAD, SLOW_BODY = replace(RULES, head_seconds=SHORT), replace(RULES, body_seconds=SHORT)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Service:
    """A small application, and what it saw."""

    def __init__(self) -> None:
        self.streamed = 0
        self.late_seconds, self.pause_seconds = 4 * SHORT, SHORT / 3
        self.stream_ended = asyncio.Event()
        routes = [Route("/", self.hello), Route("/echo", self.echo, methods=["POST"])]
        routes += [
            Route("/large", self.large),
            Route("/late", self.late, methods=["POST"]),
            Route("/early", self.early, methods=["POST"]),
            Route("/stream", self.stream),
        ]
        self.app = Starlette(routes=[*routes, Route("/slow", self.slow)])

    async def hello(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def echo(self, request: Request) -> PlainTextResponse:
        body = await request.body()
        return PlainTextResponse(str(len(body)), headers={"X-Headers": str(len(request.scope["headers"]))})

    async def large(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("x" * (16 << 20))

    async def late(self, request: Request) -> PlainTextResponse:
        await asyncio.sleep(self.late_seconds)
        return await self.echo(request)

    async def early(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("refused", 401)

    async def stream(self, request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    await asyncio.sleep(0)
                    self.streamed += 65_536
                    yield b"x" * 65_536
            finally:
                self.stream_ended.set()

        return StreamingResponse(pieces())

    async def slow(self, request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(10):
                await asyncio.sleep(self.pause_seconds)
                yield b"x"

        return StreamingResponse(pieces())


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def send_slowly(self, data: bytes) -> None:
        try:
            for byte in data:
                self._writer.write(bytes([byte]))
                await self._writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            return

    async def send_fast(self, data: bytes) -> None:
        """Without an end, until the server closes the connection."""
        try:
            while True:
                self._writer.write(data)
                await self._writer.drain()
        except ConnectionError:
            return

    async def status(self) -> int:
        """Of the next response, whose body is read too."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if lengths:
            await self._reader.readexactly(int(lengths[0].split(b":")[1]))
        return int(head.split()[1])

    async def statuses(self, *parts: bytes, pause: float = 0) -> list[int]:
        """Of the responses to the parts, each sent after a pause. Shorter if the server closes the connection first."""
        statuses: list[int] = []
        try:
            for part in parts:
                await asyncio.sleep(pause)
                self.send(part)
                statuses.append(await self.status())
        except (ConnectionError, asyncio.IncompleteReadError):
            return statuses
        return statuses

    async def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    def close(self) -> None:
        self._writer.close()


class Server:
    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self._port = port
        self._clients: list[Client] = []

    async def connect(self, source: str = "127.0.0.1") -> Client:
        opened = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(source, 0))
        self._clients.append(Client(*opened))
        return self._clients[-1]

    async def wait_until_it_answers(self, source: str = "127.0.0.1") -> None:
        """Until it has a connection for one more client."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._answers_now(source):  # noqa: ASYNC110 - the server notices at some time
                await asyncio.sleep(0.05)

    async def _answers_now(self, source: str) -> bool:
        return await (await self.connect(source)).statuses(GET) == [200]

    def close(self) -> None:
        for client in self._clients:
            client.close()


@asynccontextmanager
async def serving(rules: ConnectionRules) -> AsyncIterator[Server]:
    limits, service = ConnectionLimits(rules, ["127.0.0.1"]), Service()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        service.app,
        http=limited_protocol(limits),
        ws="none",
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve([listener]))
    limits.task.start()
    limited_server = Server(service, listener.getsockname()[1])
    try:
        yield limited_server
    finally:
        limited_server.close()
        running.should_exit = True
        await task
        await limits.task.stop()


@pytest_asyncio.fixture
async def limited_server() -> AsyncIterator[Server]:
    async with serving(RULES) as limited_server:
        yield limited_server


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("keepsake_connections_refused_total", {"reason": reason}) or 0


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Name: "])
async def test_headers_without_end_are_refused(sent: bytes) -> None:
    before = refused("slow_head")
    async with serving(SLOW_HEAD) as limited_server:
        client = await limited_server.connect()
        client.send(sent)
        assert await client.status() == 408
        assert await client.rest() == b""
        assert refused("slow_head") == before + 1
        await limited_server.wait_until_it_answers()


async def test_headers_without_speed_are_refused() -> None:
    async with serving(SLOW_HEAD) as limited_server:
        client = await limited_server.connect()
        sending = asyncio.create_task(client.send_slowly(GET))
        assert await client.status() == 408
        await sending


async def test_headers_of_a_later_request_have_a_limit_too() -> None:
    async def is_limited(scale: float) -> bool:
        """A pause between requests is not."""
        async with serving(replace(RULES, head_seconds=SHORT * scale)) as limited_server:
            client = await limited_server.connect()
            first = await client.statuses(GET)
            later = await client.statuses(GET, GET[:10], pause=3 * SHORT * scale)
        return first + later == [200, 200, 408]

    assert await succeeds(is_limited)


async def test_time_of_a_head_begins_with_its_first_byte() -> None:
    async def is_answered(scale: float) -> bool:
        async with serving(replace(RULES, head_seconds=scale)) as limited_server:
            client = await limited_server.connect()
            first = await client.statuses(GET)
            await asyncio.sleep(1.1 * scale)
            client.send(GET[:10])
            second = await client.statuses(GET[10:], pause=3 * RULES.look_seconds)
        return first + second == [200, 200]

    assert await succeeds(is_answered)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX-Name: " + b"x" * 100_000,
        b"GET /" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nX-Name: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Name: x\r\n" * 300 + b"\r\n",
    ],
    ids=["endless header", "endless path", "long header", "many headers"],
)
async def test_large_head_is_refused(limited_server: Server, head: bytes) -> None:
    client = await limited_server.connect()
    client.send(head)
    assert await client.status() == 431
    assert await (await limited_server.connect()).statuses(GET) == [200]


async def test_body_without_speed_is_refused() -> None:
    async with serving(SLOW_BODY) as limited_server:
        client = await limited_server.connect()
        client.send(POST)
        sending = asyncio.create_task(client.send_slowly(b"1\r\nx\r\n" * 100))
        assert await client.status() == 408
        await sending
        fast = await limited_server.connect()
        assert await fast.statuses(POST + b"5\r\nhello\r\n0\r\n\r\n") == [200]


async def test_long_body_may_take_longer_if_it_arrives_fast() -> None:
    async with serving(SLOW_BODY) as limited_server:
        client = await limited_server.connect()
        client.send(POST)
        for _ in range(8):
            client.send(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
            await asyncio.sleep(0.1)
        client.send(b"0\r\n\r\n")
        assert await client.status() == 200


async def test_body_may_wait_for_the_application() -> None:
    post = POST.replace(b"/echo", b"/late") + b"80000\r\n" + b"x" * 0x80000 + b"\r\n0\r\n\r\n"

    async def is_answered(scale: float) -> bool:
        async with serving(replace(RULES, body_seconds=SHORT * scale, bytes_per_second=1 << 30)) as limited_server:
            limited_server.service.late_seconds *= scale
            return await (await limited_server.connect()).statuses(post) == [200]

    assert await succeeds(is_answered)


async def test_trailers_are_ignored(limited_server: Server) -> None:
    client = await limited_server.connect()
    trailers = b"X-Name: x\r\n" * 300
    client.send(POST + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n" + GET.replace(b"Host", b"Connection: close\r\nHost"))
    received = await client.rest()
    assert received.count(b"HTTP/1.1 200") == 2
    assert b"x-headers: 2\r\n" in received.lower()


async def test_answer_comes_before_the_body_and_the_rest_of_the_body_is_bounded(limited_server: Server) -> None:
    head = b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(replace(RULES, unread_seconds=SHORT)) as hasty_server:
        client = await hasty_server.connect()
        client.send(head)
        assert await client.status() == 401, "nothing of the body was sent"
        await asyncio.wait_for(client.send_fast(b"10000\r\n" + b"x" * 65_536 + b"\r\n"), PATIENCE_SECONDS)

        client = await hasty_server.connect()
        client.send(head)
        assert await client.status() == 401
        assert await client.rest() == b"", "closed although the client sends nothing"

    client = await limited_server.connect()
    client.send(head + b"10000\r\n" + b"x" * 65_536 + b"\r\n0\r\n\r\n" + GET)
    assert [await client.status(), await client.status()] == [401, 200]


async def test_rest_of_a_body_is_bounded_in_bytes_and_not_awaited_if_it_may_not_come() -> None:
    async with serving(replace(RULES, unread_bytes=200_000)) as limited_server:
        head = b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        client = await limited_server.connect()
        client.send(head + b"\r\n")
        assert await client.status() == 401
        await asyncio.wait_for(client.send_fast(b"10000\r\n" + b"x" * 65_536 + b"\r\n"), PATIENCE_SECONDS)

        client = await limited_server.connect()
        client.send(head + b"Expect: 100-continue\r\n\r\n")
        assert await client.status() == 401
        assert await client.rest() == b""


async def test_client_that_has_read_a_large_response_keeps_its_connection() -> None:
    async def is_kept(scale: float) -> bool:
        async with serving(replace(RULES, stalled_seconds=SHORT * scale)) as limited_server:
            client = await limited_server.connect()
            large = await client.statuses(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            return large + await client.statuses(GET, pause=2 * SHORT * scale) == [200, 200]

    assert await succeeds(is_kept)


async def test_connections_are_limited_per_address_except_for_proxies() -> None:
    async with serving(replace(RULES, connections_per_address=2)) as limited_server:
        first, second = [await limited_server.connect(OTHER_ADDRESS) for _ in range(2)]
        assert await (await limited_server.connect(OTHER_ADDRESS)).status() == 503
        for client in (second, *[await limited_server.connect() for _ in range(5)]):
            client.send(GET)
            assert await client.status() == 200
        first.close()
        await limited_server.wait_until_it_answers(OTHER_ADDRESS)


async def test_connections_are_limited_in_total() -> None:
    async def is_limited(scale: float) -> bool:
        async with serving(replace(RULES, connections=3, head_seconds=SHORT * scale)) as limited_server:
            for _ in range(3):
                await limited_server.connect()
            one_more = await (await limited_server.connect()).statuses(b"")
            # Those that sent nothing are gone.
            await limited_server.wait_until_it_answers()
            return one_more == [503]

    assert await succeeds(is_limited)


async def test_client_that_does_not_read_its_stream_is_cut_off() -> None:
    async with serving(replace(RULES, stalled_seconds=SHORT)) as limited_server:
        client = await limited_server.connect()
        client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await limited_server.service.stream_ended.wait()
        assert limited_server.service.streamed < 50 << 20, "what it did not read is not kept"
        assert await (await limited_server.connect()).statuses(GET) == [200]


async def test_closed_connection_ends_although_its_client_reads_nothing() -> None:
    async with serving(replace(RULES, connections=1, unread_seconds=SHORT)) as limited_server:
        client = await limited_server.connect()
        client.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await limited_server.wait_until_it_answers()


async def test_stream_may_take_longer_than_the_limits_of_requests() -> None:
    async def is_whole(scale: float) -> bool:
        seconds = SHORT * scale
        rules = replace(RULES, head_seconds=seconds, body_seconds=seconds, unread_seconds=seconds)
        async with serving(replace(rules, stalled_seconds=seconds)) as limited_server:
            limited_server.service.pause_seconds *= scale
            client = await limited_server.connect()
            client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return (await client.rest()).count(b"x") == 10

    assert await succeeds(is_whole)


async def test_pipelined_requests_are_bounded(limited_server: Server) -> None:
    client = await limited_server.connect()
    client.send(GET * 10)
    assert [await client.status() for _ in range(10)] == [200] * 10
    client.send(GET * 1000)
    assert (await client.rest()).count(b"HTTP/1.1 200") < 30


def test_networks_of_proxies_are_trusted() -> None:
    limits = ConnectionLimits(replace(RULES, connections_per_address=1), ["10.0.0.0/8", "::1"])
    connections = [Look() for _ in range(6)]
    hosts = ["10.1.2.3", "10.1.2.3", "2001:db8::1", "2001:db8::2", "::1", "::1"]
    assert [limits.add(each, host) for each, host in zip(connections, hosts, strict=True)] == [
        *("", "", "2001:db8::/64", None, "", "")
    ]
    limits.remove(connections[2], "2001:db8::/64")
    assert limits.add(connections[3], "2001:db8::2") == "2001:db8::/64"
    everyone = ConnectionLimits(replace(RULES, connections_per_address=1), ["*"])
    assert [everyone.add(each, "192.0.2.1") for each in connections] == [""] * 6


class Look:
    def look(self, now: float) -> None: ...


def test_connections_leave_files_for_the_rest_of_the_server() -> None:
    assert 0 < raise_open_files() <= 4096
