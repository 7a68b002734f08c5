"""Slow down and stop password guessing, with counters per account and IP address in short-term memory.

Strangers must not be able to lock the owner out. Wrong passwords lock an account for the network that they come from.
After as many from all networks together, other networks wait before each further guess, unless the account has signed
in from them before.
"""

import asyncio
import hashlib
import json
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.core.network_addresses import network_of
from app.core.ports import ShortTerm
from app.identity.local.errors import IdentityError
from app.identity.local.storage.sign_in_history import SignInHistory

CODES = "guess:codes"
LONGEST_EXPONENT = 20


@dataclass(frozen=True, slots=True)
class LockoutLimits:
    guesses_per_account: int = 10
    """Wrong passwords per account and network. As many from all networks slow down networks that are not known."""
    guesses_per_address: int = 100
    guess_window_seconds: int = 900
    code_guesses_in_total: int = 1000
    """Wrong codes of six digits for all accounts together. Links have 256 bits and keep working."""
    free_guesses: int = 3
    """After this many wrong guesses for an account, each further response is delayed."""
    slowest_seconds: float = 2.0
    password_changes_per_account: int = 10
    refreshes_per_account: int = 150
    """Refreshes per account in five minutes, and unknown refresh tokens per IP address."""
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

    async def guess_password(
        self, account: str, address: str, read_history: Callable[[], Awaitable[SignInHistory]]
    ) -> None:
        """Call before checking the password of a sign-in. The history is read only if there were many wrong guesses."""
        await self.guess_link(address)
        of_network, of_account = _network_key(account, address), _account_key(account)
        if max(await self._number(of_network), await self._number(of_account)) >= self._limits.guesses_per_account:
            await self._check_history(account, address, await read_history())
        count = await self._count(of_network, self._limits.guesses_per_account, self._limits.guess_window_seconds)
        await self._count(of_account, None, self._limits.guess_window_seconds)
        await self._delay(count)

    async def guess_code(self, account: str, address: str) -> None:
        """Call before checking a code of six digits, which can be guessed across many accounts."""
        limits = self._limits
        await self.guess_link(address)
        count = await self._count(_code_key(account), limits.guesses_per_account, limits.guess_window_seconds)
        await self._delay(count)
        await self._count(CODES, limits.code_guesses_in_total, limits.guess_window_seconds)

    async def guess_link(self, address: str) -> None:
        """Call before checking a token, which belongs to no account that could be locked."""
        limits = self._limits
        await self._count(_address_key(address), limits.guesses_per_address, limits.guess_window_seconds)

    async def guessed_password_right(self, account: str, address: str) -> None:
        await self._memory.delete(f"identity:{_network_key(account, address)}")
        await self._uncount(_account_key(account))
        await self.guessed_link_right(address)

    async def guessed_code_right(self, account: str, address: str) -> None:
        await self._memory.delete(f"identity:{_code_key(account)}")
        await self._uncount(CODES)
        await self.guessed_link_right(address)

    async def guessed_link_right(self, address: str) -> None:
        await self._uncount(_address_key(address))

    async def request(self, address: str) -> None:
        """Call before expensive work that needs no credential."""
        limits = self._limits
        await self._count(f"request:{network_of(address)}", limits.requests_per_address, limits.request_window_seconds)

    async def change_password(self, account_id: uuid.UUID) -> None:
        """Call before checking or hashing the passwords of a change, which take as long as three sign-ins."""
        limits = self._limits
        await self._count(f"change:{account_id}", limits.password_changes_per_account, limits.guess_window_seconds)

    async def refresh(self, account_id: uuid.UUID) -> None:
        limits = self._limits
        await self._count(f"refresh:{account_id}", limits.refreshes_per_account, limits.request_window_seconds)

    async def refresh_unknown(self, address: str) -> None:
        """Counted apart from passwords: an application that repeats an old token must not stop sign-ins nearby."""
        limits, network = self._limits, network_of(address)
        await self._count(f"refresh:address:{network}", limits.refreshes_per_account, limits.request_window_seconds)

    async def mail(self, kind: str, email: str, seconds: int) -> None:
        """Limits e-mails of one kind, for unknown addresses too, so that the response does not reveal accounts."""
        if seconds > 0:
            await self._count(f"mail:{kind}:{_digest(email)}", 1, seconds, code="over_email_send_rate_limit")

    async def _check_history(self, account: str, address: str, history: SignInHistory) -> None:
        for key in (_network_key(account, address), _account_key(account)):
            count = await self._read(key)
            if count and history.was_unlocked_after(count.ends_at - self._limits.guess_window_seconds):
                await self._memory.delete(f"identity:{key}")
        excess = await self._number(_account_key(account)) - self._limits.guesses_per_account
        is_locked = await self._number(_network_key(account, address)) >= self._limits.guesses_per_account
        if excess >= 0 and not history.is_known_network and not is_locked:
            await self._require_pause(_pause_key(account, address), min(excess, LONGEST_EXPONENT))

    async def _require_pause(self, key: str, exponent: int) -> None:
        """The first call begins the pause. A call after the pause is let through and ends it."""
        window = self._limits.guess_window_seconds
        async with self._lock:
            pause, now = await self._read(key), self._clock()
            if pause is None:
                seconds = min(2**exponent, window)
                pause = AttemptCount(seconds, now + seconds + window)
                await self._write(key, pause)
            left = pause.ends_at - window - now
            if left > 0:
                raise _too_many("over_request_rate_limit", left)
            await self._memory.delete(f"identity:{key}")

    async def _delay(self, count: int) -> None:
        limits = self._limits
        if count > limits.free_guesses:
            await asyncio.sleep(min(limits.slowest_seconds, 0.1 * 2 ** (count - limits.free_guesses)))

    async def _number(self, key: str) -> int:
        count = await self._read(key)
        return count.number if count else 0

    async def _count(self, key: str, limit: int | None, seconds: int, code: str = "over_request_rate_limit") -> int:
        async with self._lock:
            count = await self._read(key) or AttemptCount(0, self._clock() + seconds)
            if limit is not None and count.number >= limit:
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


def _network_key(account: str, address: str) -> str:
    return f"guess:network:{_digest(account)}:{network_of(address)}"


def _pause_key(account: str, address: str) -> str:
    return f"guess:pause:{_digest(account)}:{network_of(address)}"


def _code_key(account: str) -> str:
    return f"guess:code:{_digest(account)}"


def _digest(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()
