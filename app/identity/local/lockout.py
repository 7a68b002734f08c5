"""Slow down and lock out whoever guesses: counts per account and per address, in short-term memory."""

import asyncio
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.core.ports import ShortTerm
from app.identity.local.errors import IdentityError


@dataclass(frozen=True, slots=True)
class Limits:
    guesses_per_account: int = 10
    guesses_per_address: int = 100
    guess_window_seconds: int = 900
    free_guesses: int = 3
    """After so many wrong guesses for an account each answer takes longer."""
    slowest_seconds: float = 2.0
    requests_per_address: int = 30
    """Sign-ups, mails and links asked for by one address in five minutes, as GoTrue allows."""
    request_window_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Count:
    number: int
    ends_at: float


class Lockout:
    """Counts before the guess is checked and forgets after a right one, so that guessing in parallel gains nothing."""

    def __init__(self, memory: ShortTerm, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._memory = memory
        self._limits = limits
        self._clock = clock
        self._lock = asyncio.Lock()

    async def guess(self, account: str, address: str) -> None:
        """Call before checking a password or a code; raises 429 when there have been too many."""
        limits = self._limits
        await self._take(f"guess:address:{address}", limits.guesses_per_address, limits.guess_window_seconds)
        count = await self._take(_account_key(account), limits.guesses_per_account, limits.guess_window_seconds)
        if count > limits.free_guesses:
            await asyncio.sleep(min(limits.slowest_seconds, 0.1 * 2 ** (count - limits.free_guesses)))

    async def guessed_right(self, account: str, address: str) -> None:
        await self._memory.delete(f"identity:{_account_key(account)}")
        await self._give_back(f"guess:address:{address}")

    async def request(self, address: str) -> None:
        """Call before anything costly that anybody may ask for."""
        limits = self._limits
        await self._take(f"request:{address}", limits.requests_per_address, limits.request_window_seconds)

    async def mail(self, kind: str, email: str, seconds: int) -> None:
        """One mail of a kind at a time, known address or not: the answer must not tell which."""
        if seconds > 0:
            await self._take(f"mail:{kind}:{_digest(email)}", 1, seconds, code="over_email_send_rate_limit")

    async def _take(self, key: str, limit: int, seconds: int, code: str = "over_request_rate_limit") -> int:
        async with self._lock:
            count = await self._read(key) or Count(0, self._clock() + seconds)
            if count.number >= limit:
                raise _refusal(code, count.ends_at - self._clock())
            await self._write(key, Count(count.number + 1, count.ends_at))
            return count.number + 1

    async def _give_back(self, key: str) -> None:
        async with self._lock:
            count = await self._read(key)
            if count is not None and count.number > 0:
                await self._write(key, Count(count.number - 1, count.ends_at))

    async def _read(self, key: str) -> Count | None:
        stored = await self._memory.get(f"identity:{key}")
        if stored is None:
            return None
        count = Count(*json.loads(stored))
        return count if count.ends_at > self._clock() else None

    async def _write(self, key: str, count: Count) -> None:
        value = json.dumps([count.number, count.ends_at]).encode()
        await self._memory.set(f"identity:{key}", value, max(1.0, count.ends_at - self._clock()))


def _refusal(code: str, seconds: float) -> IdentityError:
    wait = max(1, math.ceil(seconds))
    message = f"For security purposes, you can only request this after {wait} seconds."
    return IdentityError(429, code, message, retry_after=wait)


def _account_key(account: str) -> str:
    return f"guess:account:{_digest(account)}"


def _digest(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()
