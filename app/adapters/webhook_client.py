"""Sends webhooks, only to addresses that were checked.

A name is resolved once, all of its addresses are checked, and the connection is opened to one of them without resolving
the name again. Redirects are not followed, and the body of a response is not read.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence

import httpcore

from app.core.errors import NotDelivered
from app.core.network_addresses import is_public

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


async def resolve_host(host: str, port: int) -> list[str]:
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections to public addresses only."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve_and_check(host, port)
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    async def _resolve_and_check(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise NotDelivered("The receiver's host name could not be resolved.") from None
        if not addresses:
            raise NotDelivered("The receiver's host name has no address.")
        if not self._allow_private and not all(map(is_public, addresses)):
            raise NotDelivered(
                "The receiver's address is in a private network. Webhooks are sent to public addresses only."
            )
        return addresses


class HttpWebhookClient:
    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout_seconds: float = 10,
        resolve: Resolve = resolve_host,
        at_once: int = 48,
    ) -> None:
        self._seconds = timeout_seconds
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=at_once,
            max_keepalive_connections=0,  # the address of each delivery is checked
            network_backend=CheckedNetwork(resolve, allow_private=allow_private),
        )

    async def get(self, url: str, max_bytes: int) -> bytes:
        body = bytearray()

        async def read() -> int:
            async with self._pool.stream("GET", url, headers=[(b"accept", b"application/json")]) as response:
                async for part in response.aiter_stream():
                    body.extend(part)
                    if len(body) > max_bytes:
                        raise NotDelivered("The document is too large.")
                return int(response.status)

        await self._succeed(read())
        return bytes(body)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        return await self._succeed(self._send(url, headers, body))

    async def _succeed(self, exchange: Coroutine[object, object, int]) -> int:
        try:
            async with asyncio.timeout(self._seconds):
                status = await exchange
        except TimeoutError:
            raise NotDelivered("The receiver did not respond in time.") from None
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise NotDelivered(f"The receiver could not be reached ({type(error).__name__}).") from None
        except (httpcore.UnsupportedProtocol, UnicodeError, ValueError):
            raise NotDelivered("The receiver's address is invalid.") from None
        if 300 <= status < 400:
            raise NotDelivered("The receiver responded with a redirect. Redirects are not followed.", status)
        if not 200 <= status < 300:
            raise NotDelivered("The receiver responded with an error.", status)
        return status

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The body of the response is not read."""
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with self._pool.stream("POST", url, headers=encoded, content=body) as response:
            return int(response.status)

    async def close(self) -> None:
        await self._pool.aclose()
