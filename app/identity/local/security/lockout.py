"""Slow down and stop password guessing, with counters per account and IP address in short-term memory."""

import asyncio
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.core.network_addresses import network_of
from app.core.ports import ShortTerm
from app.identity.local.errors import IdentityError

CODES = "guess:codes"


@dataclass(frozen=True, slots=True)
class LockoutLimits:
    guesses_per_account: int = 10
    guesses_per_address: int = 100
    guess_window_seconds: int = 900
    code_guesses_in_total: int = 1000
    """Wrong codes of six digits for all accounts together. Links have 256 bits and keep working."""
    free_guesses: int = 3
    """After this many wrong guesses for an account, each further response is delayed."""
    slowest_seconds: float = 2.0
    requests_per_address: int = 30
    """Sign-ups, e-mails and links per IP address in five minutes; GoTrue's default."""
    request_window_seconds: int = 300


@dataclass(frozen=True, slots=True)
class AttemptCount:
    number: int
    ends_at: float


class Lockout:
    """Counts each guess before checking it, so that parallel guesses count, and resets after a correct one."""

    def __init__(self, memory: ShortTerm, limits: LockoutLimits, clock: Callable[[], float] = time.time) -> None:
        self._memory = memory
        self._limits = limits
        self._clock = clock
        self._lock = asyncio.Lock()

    async def guess(self, account: str, address: str) -> None:
        """Call before checking a password or a code. Raises a 429 error after too many guesses."""
        limits = self._limits
        await self.guess_link(address)
        count = await self._count(_account_key(account), limits.guesses_per_account, limits.guess_window_seconds)
        if count > limits.free_guesses:
            await asyncio.sleep(min(limits.slowest_seconds, 0.1 * 2 ** (count - limits.free_guesses)))

    async def guess_code(self, account: str, address: str) -> None:
        """Call before checking a code of six digits, which can be guessed across many accounts."""
        await self.guess(f"code:{account}", address)
        await self._count(CODES, self._limits.code_guesses_in_total, self._limits.guess_window_seconds)

    async def guess_link(self, address: str) -> None:
        """Call before checking a token, which belongs to no account that could be locked."""
        limits = self._limits
        await self._count(_address_key(address), limits.guesses_per_address, limits.guess_window_seconds)

    async def guessed_right(self, account: str, address: str) -> None:
        await self._memory.delete(f"identity:{_account_key(account)}")
        await self.guessed_link_right(address)

    async def guessed_code_right(self, account: str, address: str) -> None:
        await self.guessed_right(f"code:{account}", address)
        await self._uncount(CODES)

    async def guessed_link_right(self, address: str) -> None:
        await self._uncount(_address_key(address))

    async def request(self, address: str) -> None:
        """Call before expensive work that needs no credential."""
        limits = self._limits
        await self._count(f"request:{network_of(address)}", limits.requests_per_address, limits.request_window_seconds)

    async def mail(self, kind: str, email: str, seconds: int) -> None:
        """Limits e-mails of one kind, for unknown addresses too, so that the response does not reveal accounts."""
        if seconds > 0:
            await self._count(f"mail:{kind}:{_digest(email)}", 1, seconds, code="over_email_send_rate_limit")

    async def _count(self, key: str, limit: int, seconds: int, code: str = "over_request_rate_limit") -> int:
        async with self._lock:
            count = await self._read(key) or AttemptCount(0, self._clock() + seconds)
            if count.number >= limit:
                raise _too_many(code, count.ends_at - self._clock())
            await self._write(key, AttemptCount(count.number + 1, count.ends_at))
            return count.number + 1

    async def _uncount(self, key: str) -> None:
        async with self._lock:
            count = await self._read(key)
            if count is not None and count.number > 0:
                await self._write(key, AttemptCount(count.number - 1, count.ends_at))

    async def _read(self, key: str) -> AttemptCount | None:
        stored = await self._memory.get(f"identity:{key}")
        if stored is None:
            return None
        count = AttemptCount(*json.loads(stored))
        return count if count.ends_at > self._clock() else None

    async def _write(self, key: str, count: AttemptCount) -> None:
        value = json.dumps([count.number, count.ends_at]).encode()
        await self._memory.set(f"identity:{key}", value, max(1.0, count.ends_at - self._clock()))


def _too_many(code: str, seconds: float) -> IdentityError:
    wait = max(1, math.ceil(seconds))
    message = f"For security purposes, you can only request this after {wait} seconds."
    return IdentityError(429, code, message, retry_after=wait)


def _address_key(address: str) -> str:
    return f"guess:address:{network_of(address)}"


def _account_key(account: str) -> str:
    return f"guess:account:{_digest(account)}"


def _digest(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()
