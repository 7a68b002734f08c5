"""How often somebody may ask. Limits on sign-in are slowapi's; those on every request are counted in one go.

Both read limits in the grammar of `limits` ("30/minute"). Counters that are away let the request through.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import limits
from fastapi import Request
from slowapi import Limiter

from app.core.errors import ConfigurationError, TooManyRequests
from app.core.observability.metrics import LIMITS_UNAVAILABLE, THROTTLED
from app.core.ports import Counters


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """The tightest of the limits that applied, for the X-RateLimit headers."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(time.time()) + self.reset_seconds),
        }


def read_limit(name: str, text: str) -> Limit:
    try:
        item = limits.parse(text)
        if item.amount < 1:
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            f"{name.upper()} is not a limit: write a number and a period, such as 30/minute"
        ) from None
    return Limit(name.removeprefix("rate_limit_"), item.amount, item.get_expiry())


class RateLimits:
    def __init__(self, counters: Counters, *, user: Limit, project: Limit, everyone: Limit, chat: Limit) -> None:
        self._counters = counters
        self._user, self._project, self._everyone, self._chat = user, project, everyone, chat
        self._stranger = replace(user, name="stranger")

    async def admit_request(self, user: str, project: str) -> Allowance | None:
        return await self._admit([(self._user, user), (self._project, project), (self._everyone, "")])

    async def admit_stranger(self, address: str) -> None:
        """Whoever has no valid credential; not part of everybody's limit, or anyone could use that up for all."""
        await self._admit([(self._stranger, address)])

    async def admit_chat(self, user: str) -> Allowance | None:
        return await self._admit([(self._chat, user)])

    async def _admit(self, checks: Sequence[tuple[Limit, str]]) -> Allowance | None:
        windows = [(f"{limit.name}:{whose}", limit.seconds) for limit, whose in checks]
        try:
            counts = await self._counters.hit(windows)
        except OSError:
            LIMITS_UNAVAILABLE.inc()
            return None
        standing = [stand(limit, count) for (limit, _), count in zip(checks, counts, strict=True)]
        for (limit, _), count, allowance in zip(checks, counts, standing, strict=True):
            if count > limit.amount:
                raise refuse(limit.name, allowance)
        return min(standing, key=lambda allowance: allowance.remaining)

    async def close(self) -> None:
        await self._counters.close()


def stand(limit: Limit, count: int) -> Allowance:
    left = limit.seconds - math.floor(time.time()) % limit.seconds
    return Allowance(limit.amount, max(0, limit.amount - count), left)


def refuse(name: str, allowance: Allowance) -> TooManyRequests:
    THROTTLED.labels(name).inc()
    return TooManyRequests(
        f"Too many requests: the limit is {allowance.limit}, wait {allowance.reset_seconds} s and try again",
        headers={"Retry-After": str(max(1, allowance.reset_seconds)), **allowance.headers()},
    )


def client_address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _address_and_limit(request: Request) -> str:
    """slowapi hands this key to the limit itself, which is how a setting reaches a decorator."""
    return f"{request.app.state.auth_limit}|{client_address(request)}"


def auth_limit(key: str) -> str:
    return key.partition("|")[0]


# Counted in each process, on purpose: this one protects the processor from password hashing, and needs no Redis for it.
limiter = Limiter(key_func=_address_and_limit, key_style="endpoint")
limit_sign_in = limiter.limit(auth_limit)
