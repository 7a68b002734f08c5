"""The limits of connections: how many there may be, and how long each may take for what it sends and reads."""

import asyncio
import ipaddress
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.core.background_tasks import SupervisedTask
from app.core.network_addresses import network_of

MAX_OPEN_FILES = 65_536
MAX_CONNECTIONS = 4_096
SILENT_AFTER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    connections: int = MAX_CONNECTIONS
    connections_per_address: int = 256
    head_bytes: int = 64 << 10
    headers: int = 200
    pipelined_requests: int = 16
    head_seconds: float = 10
    """From the connection, or from the first byte of a later request, to the end of its headers."""
    body_seconds: float = 10
    """A body may take this long, and longer by a second for each `bytes_per_second` that arrived."""
    bytes_per_second: int = 8 << 10
    unread_seconds: float = 5
    """How long the rest of a body is received and ignored after the response."""
    unread_bytes: int = 8 << 20
    stalled_seconds: float = 30
    """How long a client may read nothing of a response that waits for it."""
    look_seconds: float = 1


class LimitedConnection(Protocol):
    def look(self, now: float) -> None:
        """Close the connection if it takes too long."""
        ...


class ConnectionLimits:
    """One task looks at all connections every second, so that a request needs no timer of its own.

    Proxies are trusted with any number of connections, because each carries the requests of many clients."""

    def __init__(self, rules: ConnectionRules, trusted_proxies: Sequence[str] = ()) -> None:
        self.rules = rules
        self.open: set[LimitedConnection] = set()
        self.task = SupervisedTask("connections", self._look_often, silent_after_seconds=SILENT_AFTER_SECONDS)
        self._trusts_all = "*" in trusted_proxies
        self._trusted = [ipaddress.ip_network(each) for each in trusted_proxies if each != "*"]
        self._per_address: Counter[str] = Counter()

    def add(self, connection: LimitedConnection, host: str) -> str | None:
        """The address that the connection counts for until it is removed. None if there are too many."""
        address = "" if self._is_trusted(host) else network_of(host)
        if len(self.open) >= self.rules.connections:
            return None
        if address and self._per_address[address] >= self.rules.connections_per_address:
            return None
        self.open.add(connection)
        if address:
            self._per_address[address] += 1
        return address

    def remove(self, connection: LimitedConnection, address: str) -> None:
        self.open.discard(connection)
        if address:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    def look(self, now: float) -> None:
        for connection in list(self.open):
            connection.look(now)

    def _is_trusted(self, host: str) -> bool:
        if self._trusts_all:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    async def _look_often(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.rules.look_seconds)
            self.look(loop.time())
            self.task.beat()


def raise_open_files() -> int:
    """Let the process open as many files as the system allows, and return how many connections leave enough of them
    for the database, the index and the models."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(MAX_CONNECTIONS, wanted // 2)
