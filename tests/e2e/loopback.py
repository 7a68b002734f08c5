"""Serves the application on a loopback port, for clients that speak only HTTP."""

from collections.abc import Awaitable
from dataclasses import replace

from fastapi import FastAPI

from app.adapters.in_process import InProcessCounters
from app.core.errors import TimedOut, Unavailable, UpstreamFailed
from app.core.ports import Candidate, SearchScope, Vector, VectorIndex
from app.core.rate_limit import RateLimit, RateLimits
from app.core.resources import Resources
from app.main import create_app

MANY = 1_000_000


def with_request_limit(resources: Resources, *, requests: int) -> FastAPI:
    """The same application with a limit of requests per caller and hour."""
    limits = RateLimits(
        InProcessCounters(),
        user=RateLimit("user", requests, 3600),
        project=RateLimit("project", MANY, 60),
        account=RateLimit("account", MANY, 60),
        everyone=RateLimit("global", MANY, 60),
        chat=RateLimit("chat", MANY, 60),
    )
    return create_app(replace(resources, limits=limits))


FAILURES: dict[str, Exception] = {
    "fail with 500": KeyError("a mistake of ours"),
    "fail with 502": UpstreamFailed("The index refused this server's key"),
    "fail with 503": Unavailable("The index is away", headers={"Retry-After": "7"}),
    "fail with 504": TimedOut("The index took too long"),
}


class FailingIndex:
    """An index whose search fails in the way the question asks for."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        if text in FAILURES:
            raise FAILURES[text]
        return await self._index.find_candidates(scope, vector, text, limit)


def with_failing_index(resources: Resources) -> FastAPI:
    index = FailingIndex(resources.index)
    return create_app(replace(resources, index=index))  # type: ignore[arg-type]  # what is missing is delegated
