"""Rate limits. slowapi limits sign-in; the limits of every request are counted together in one call.

Both read limits in the grammar of `limits` ("30/minute").
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import limits
import limits.storage
import limits.strategies
from fastapi import Request
from slowapi import Limiter

from app.core.counts import count_of
from app.core.errors import ConfigurationError, TooManyRequests
from app.core.network_addresses import network_of
from app.core.observability.metrics import THROTTLED
from app.core.observability.usage_counts import UsageOf
from app.core.ports import CountedWindow, Counters

MAX_REFUSALS = 10_000
REFUSAL_SECONDS = 60
REFUSAL_DELAY_SECONDS = 0.25

STATUS_REQUESTS_PER_MINUTE = 300


@dataclass(frozen=True, slots=True)
class RateLimit:
    name: str
    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of the limit that is nearest to its end, for the X-RateLimit headers."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(time.time()) + self.reset_seconds),
        }


def read_limit(name: str, text: str) -> RateLimit:
    try:
        item = limits.parse(text)
        if item.amount < 1:
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            f"{name.upper()} is not a rate limit. Write a number and a period, such as 30/minute."
        ) from None
    return RateLimit(name.removeprefix("rate_limit_"), item.amount, item.get_expiry())


@dataclass(frozen=True, slots=True)
class RequestSource:
    """Whom a request is counted for."""

    caller: str
    """An account or an API key."""
    project: str
    organization: str
    account: str
    """The account that is signed in or created the API key. For a key of the operator, the organization."""
    usage: UsageOf | None = None
    """Where refused requests are counted. None for an account that acts in no project."""


class LimitExceeded(TooManyRequests):
    def __init__(self, limit: RateLimit, source: RequestSource | None = None) -> None:
        self.limit = limit
        self.source = source
        allowance = allowance_after(limit, limit.amount)
        super().__init__(
            f"Rate limit of {count_of(limit.amount, 'request')} exceeded."
            f" Retry after {count_of(allowance.reset_seconds, 'second')}.",
            headers={"Retry-After": str(max(1, allowance.reset_seconds)), **allowance.headers()},
        )
        THROTTLED.labels(limit.name).inc()


class Refusals:
    """The credentials whose limit was exceeded a moment ago. Their requests are refused without asking the database or
    the counters, and after a delay, so that a client that ignores `Retry-After` costs others little."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._refused: dict[int, tuple[float, RateLimit, RequestSource]] = {}

    def remember(self, credential: int, limit: RateLimit, source: RequestSource) -> None:
        if len(self._refused) >= MAX_REFUSALS:
            self._refused.clear()
        now = self._clock()
        self._refused[credential] = (now + min(REFUSAL_SECONDS, limit.seconds - now % limit.seconds), limit, source)

    async def check(self, credential: int) -> None:
        if credential not in self._refused:
            return
        ends_at, limit, source = self._refused[credential]
        if ends_at <= self._clock():
            self._refused.pop(credential)
            return
        await asyncio.sleep(REFUSAL_DELAY_SECONDS)
        raise LimitExceeded(limit, source)


INVITATIONS = RateLimit("invitations", 50, 86_400)
"""Per account that sends them, or per key of the operator."""
INVITATION_MAILS = RateLimit("invitation_mails", 5, 86_400)


class RateLimits:
    """The limit of the whole service applies only to accounts that used more than their share of it: the limit divided
    by the number of accounts in the current window. So the accounts that send most are refused first."""

    def __init__(
        self,
        counters: Counters,
        *,
        user: RateLimit,
        project: RateLimit,
        account: RateLimit,
        everyone: RateLimit,
        chat: RateLimit,
    ) -> None:
        self._counters = counters
        self._refusals = Refusals()
        self._user, self._project, self._account, self._everyone, self._chat = user, project, account, everyone, chat
        self._organization = replace(account, name="organization")
        self._unauthenticated = replace(user, name="unauthenticated")

    async def check_refused(self, credential: int) -> None:
        """Call before resolving a credential. Raises if it exceeded a limit a moment ago."""
        await self._refusals.check(credential)

    async def admit_request(self, source: RequestSource, credential: int) -> Allowance:
        try:
            return await self._admit_request(source)
        except LimitExceeded as error:
            self._refusals.remember(credential, error.limit, source)
            error.source = source
            raise

    async def _admit_request(self, source: RequestSource) -> Allowance:
        limits = [
            (self._user, source.caller),
            (self._project, source.project),
            (self._organization, source.organization),
            (self._account, source.account),
        ]
        seconds = self._everyone.seconds
        shares = [
            CountedWindow(f"share:{source.account}", seconds),
            CountedWindow("accounts", seconds, counts_members=True),
            CountedWindow(f"{self._everyone.name}:", seconds),
        ]
        counts = await self._counters.hit([*(_window(limit, key) for limit, key in limits), *shares])
        allowance = _check(limits, counts)
        return min(allowance, self._check_share(*counts[-len(shares) :]), key=lambda each: each.remaining)

    async def admit_unauthenticated(self, address: str) -> None:
        """Unauthenticated requests are limited per IP address. They do not count towards the global limit, which anyone
        could otherwise use up for all callers."""
        await self._admit(self._unauthenticated, network_of(address))

    async def admit_chat(self, user: str) -> Allowance:
        """The name of a user is content, and the keys of counters are in Redis for a while: only a hash is."""
        return await self._admit(self._chat, hashlib.sha256(user.encode()).hexdigest())

    async def admit_invitation(self, sender: str) -> None:
        await self._admit(INVITATIONS, sender)

    async def may_mail_invitation(self, email: str) -> bool:
        """Whether the address can get another invitation by e-mail today, from all senders together."""
        digest = hashlib.sha256(email.encode()).hexdigest()
        [count] = await self._counters.hit([_window(INVITATION_MAILS, digest)])
        return count <= INVITATION_MAILS.amount

    async def _admit(self, limit: RateLimit, key: str) -> Allowance:
        return _check([(limit, key)], await self._counters.hit([_window(limit, key)]))

    def _check_share(self, used: int, accounts: int, everyone: int) -> Allowance:
        limit = self._everyone
        if everyone <= limit.amount:
            return allowance_after(limit, everyone)
        share = replace(limit, amount=max(1, limit.amount // accounts))
        if used > share.amount:
            raise LimitExceeded(share)
        return allowance_after(share, used)

    async def close(self) -> None:
        await self._counters.close()


def _window(limit: RateLimit, key: str) -> CountedWindow:
    return CountedWindow(f"{limit.name}:{key}", limit.seconds, limit.amount)


def _check(limits: Sequence[tuple[RateLimit, str]], counts: Sequence[int]) -> Allowance:
    """The allowance of the limit that is nearest to its end. Counting stops at a limit that is exceeded."""
    allowances = [allowance_after(limit, count) for (limit, _), count in zip(limits, counts, strict=False)]
    last = len(allowances) - 1
    if counts[last] > limits[last][0].amount:
        raise LimitExceeded(limits[last][0])
    return min(allowances, key=lambda allowance: allowance.remaining)


def allowance_after(limit: RateLimit, count: int) -> Allowance:
    left = limit.seconds - math.floor(time.time()) % limit.seconds
    return Allowance(limit.amount, max(0, limit.amount - count), left)


class StatusLimit:
    """Limits health requests per IP address. Counted in the process, because readiness must not depend on Redis."""

    def __init__(self) -> None:
        self._limit = RateLimit("status", STATUS_REQUESTS_PER_MINUTE, 60)
        self._item = limits.RateLimitItemPerMinute(self._limit.amount)
        self._windows = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())

    async def admit(self, address: str) -> None:
        if not self._windows.hit(self._item, network_of(address)):
            await asyncio.sleep(REFUSAL_DELAY_SECONDS)
            raise LimitExceeded(self._limit)


def client_address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _address_and_limit(request: Request) -> str:
    """slowapi passes this key to `auth_limit`, so a setting can determine the limit of a decorator."""
    return f"{request.app.state.auth_limit}|{network_of(client_address(request))}"


def auth_limit(key: str) -> str:
    return key.partition("|")[0]


# Counted per process on purpose: this limit protects the CPU from password hashing and does not need Redis.
limiter = Limiter(key_func=_address_and_limit, key_style="endpoint")
limit_sign_in = limiter.limit(auth_limit)
