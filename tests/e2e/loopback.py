"""Serves the application on a loopback port, for clients that speak only HTTP."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from fastapi import FastAPI

from app.adapters.in_process import InProcessCounters
from app.core.errors import TimedOut, Unavailable, UpstreamFailed
from app.core.ports import Embedder, Purpose, Vector
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
    "fail with 502": UpstreamFailed("The embedder refused this server's key"),
    "fail with 503": Unavailable("The embedder is away", headers={"Retry-After": "7"}),
    "fail with 504": TimedOut("The embedder took too long"),
}


class FailingEmbedder:
    """An embedder that fails in the way the text asks for."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name, self.dimensions = embedder.name, embedder.dimensions

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        for text in texts:
            if text in FAILURES:
                raise FAILURES[text]
        return await self._embedder.embed(texts, purpose, tenant=tenant)

    async def close(self) -> None:
        """The wrapped embedder is closed by its owner."""


def with_failing_embedder(resources: Resources) -> FastAPI:
    return create_app(replace(resources, embedder=FailingEmbedder(resources.embedder)))
