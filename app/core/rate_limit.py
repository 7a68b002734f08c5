"""Rate limits. slowapi limits sign-in; the limits of every request are counted together in one call.

Both read limits in the grammar of `limits` ("30/minute").
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import limits
from fastapi import Request
from slowapi import Limiter

from app.core.errors import ConfigurationError, TooManyRequests
from app.core.network_addresses import network_of
from app.core.observability.metrics import THROTTLED
from app.core.ports import Counters


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


class RateLimits:
    def __init__(
        self, counters: Counters, *, user: RateLimit, project: RateLimit, everyone: RateLimit, chat: RateLimit
    ) -> None:
        self._counters = counters
        self._user, self._project, self._everyone, self._chat = user, project, everyone, chat
        self._unauthenticated = replace(user, name="unauthenticated")

    async def admit_request(self, user: str, project: str) -> Allowance:
        return await self._admit([(self._user, user), (self._project, project), (self._everyone, "")])

    async def admit_unauthenticated(self, address: str) -> None:
        """Unauthenticated requests are limited per IP address. They do not count towards the global limit, which anyone
        could otherwise use up for all callers."""
        await self._admit([(self._unauthenticated, network_of(address))])

    async def admit_chat(self, user: str) -> Allowance:
        return await self._admit([(self._chat, user)])

    async def _admit(self, checks: Sequence[tuple[RateLimit, str]]) -> Allowance:
        windows = [(f"{limit.name}:{key}", limit.seconds) for limit, key in checks]
        counts = await self._counters.hit(windows)
        allowances = [allowance_after(limit, count) for (limit, _), count in zip(checks, counts, strict=True)]
        for (limit, _), count, allowance in zip(checks, counts, allowances, strict=True):
            if count > limit.amount:
                raise too_many_requests(limit.name, allowance)
        return min(allowances, key=lambda allowance: allowance.remaining)

    async def close(self) -> None:
        await self._counters.close()


def allowance_after(limit: RateLimit, count: int) -> Allowance:
    left = limit.seconds - math.floor(time.time()) % limit.seconds
    return Allowance(limit.amount, max(0, limit.amount - count), left)


def too_many_requests(name: str, allowance: Allowance) -> TooManyRequests:
    THROTTLED.labels(name).inc()
    return TooManyRequests(
        f"Rate limit of {allowance.limit} requests exceeded. Retry after {allowance.reset_seconds} seconds.",
        headers={"Retry-After": str(max(1, allowance.reset_seconds)), **allowance.headers()},
    )


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
