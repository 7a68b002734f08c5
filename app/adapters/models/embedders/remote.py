"""An embedder at a provider: what is the same for every provider, around the client of one of them.

Questions and documents have connections, limits and circuit breakers of their own: a provider that is too slow for
questions may still embed what was stored, and an import does not delay questions.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import UUID

import structlog

from app.adapters.models.embedders.vector_cache import VectorCache, cache_key
from app.adapters.models.errors import ModelFailure
from app.adapters.models.guarded_calls import CallLimits, GuardedCalls, now
from app.adapters.models.text_chunks import average_vectors, split_texts
from app.core.circuit_breaker import BreakerState, unavailable
from app.core.errors import LONGEST_PAUSE_SECONDS, AppError, ConfigurationError, TimedOut, Unavailable, UpstreamFailed
from app.core.fair_queue import TenantLimit
from app.core.ports import Purpose, Vector

log = structlog.get_logger()
WHO, PREFIX = "The embedding model", "EMBEDDER"
"""What errors call it, and what the names of its settings begin with."""
QUESTION_SECONDS = 2.0
"""How long a search waits for the provider in all. Then it searches by words."""
DOCUMENT_SECONDS = 60.0
OPENING_SECONDS = 10.0
DEFAULT_PAUSE_SECONDS = 1.0
"""After a refusal for too many requests that names no time."""
TENANT_CALLS = 8
"""How many calls of one project may be in progress, so that others find a free connection."""
PROBE = "How many dimensions has this?"
REFUSED_FOR_ALL = frozenset({401, 403, 404})
"""A refused key or an unknown model fails every request, not only this one."""


QUESTION_LIMITS = CallLimits(timeout_seconds=QUESTION_SECONDS, tries=2)
DOCUMENT_LIMITS = CallLimits(timeout_seconds=DOCUMENT_SECONDS)


class UnfitVectors(Exception):
    """The response does not contain the vectors that were asked for. Every other response would be like it."""


class EmbeddingClient(Protocol):
    """The client of one provider. `embed` raises one of `errors`, and `classify` says what it means."""

    name: str
    """Provider and model, stored with the index."""
    max_texts: int
    """How many texts one request may contain."""
    max_length: int
    """How many characters of one text the model reads at once."""
    is_asymmetric: bool
    """Whether a question has another vector than a document with the same text."""
    errors: tuple[type[Exception], ...]

    async def embed(self, texts: list[str], purpose: Purpose) -> list[list[float]]: ...

    def classify(self, error: Exception) -> ModelFailure: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EmbedderLimits:
    questions: CallLimits = QUESTION_LIMITS
    documents: CallLimits = DOCUMENT_LIMITS


DEFAULT_LIMITS = EmbedderLimits()


class KnownDimensions:
    """The dimensions of each model at the last start, so that a server starts while its provider is away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> int | None:
        dimensions = self._load().get(name)
        return dimensions if isinstance(dimensions, int) else None

    def write(self, name: str, dimensions: int) -> None:
        known = self._load()
        if known.get(name) != dimensions:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps({**known, name: dimensions}))

    def _load(self) -> dict[str, object]:
        try:
            known = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


@dataclass(frozen=True, slots=True)
class GuardedPurpose:
    calls: GuardedCalls
    tenants: TenantLimit


class RemoteEmbedder:
    """Created by `open_remote_embedder`, which learns the dimensions of the model."""

    def __init__(self, client: EmbeddingClient, limits: EmbedderLimits, cache: VectorCache) -> None:
        self.name = client.name
        self.dimensions = 0
        self._client, self._cache = client, cache
        self._errors: tuple[type[Exception], ...] = (*client.errors, UnfitVectors, TimeoutError)
        self._guards = {
            Purpose.QUERY: self._guard(limits.questions),
            Purpose.DOCUMENT: self._guard(limits.documents),
        }
        self._rest_seconds = limits.questions.rest_seconds
        self._paused_until = 0.0
        self._failing = False
        self._probed_at = 0.0

    def _guard(self, limits: CallLimits) -> GuardedPurpose:
        calls = GuardedCalls(WHO, limits, self._errors, self._classify, confirm_down=self._fails_for_all)
        return GuardedPurpose(calls, TenantLimit(TENANT_CALLS))

    @property
    def breaker_state(self) -> BreakerState:
        """Of the purpose that is worse off."""
        states = {guard.calls.breaker.state for guard in self._guards.values()}
        return next(each for each in (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED) if each in states)

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        kept_for = purpose if self._client.is_asymmetric else Purpose.DOCUMENT
        keys = [cache_key(text, kept_for) for text in texts]
        known = {key: vector for key in keys if (vector := self._cache.get(tenant, key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            vectors = await self._embed_new(list(missing.values()), purpose, tenant)
            for key, vector in zip(missing, vectors, strict=True):
                known[key] = vector
                self._cache.put(tenant, key, vector)
        return [known[key] for key in keys]

    async def _embed_new(self, texts: Sequence[str], purpose: Purpose, tenant: UUID | None) -> list[Vector]:
        self._refuse_while_paused()
        split = split_texts(texts, self._client.max_length)
        starts = range(0, len(split.texts), self._client.max_texts)
        batches = [split.texts[at : at + self._client.max_texts] for at in starts]
        guard = self._guards[purpose]
        deadline = guard.calls.deadline()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout_at(deadline):
                    await stack.enter_async_context(guard.tenants.enter(tenant))
            except TimeoutError:
                raise TimedOut(f"{WHO} has too many requests of this project in progress.") from None
            parts = await asyncio.gather(*[self._call(guard.calls, batch, purpose, deadline) for batch in batches])
        return average_vectors(split, [vector for part in parts for vector in part])

    def _refuse_while_paused(self) -> None:
        """After the provider asked to wait, nothing is sent until then."""
        if (left := self._paused_until - time.monotonic()) > 0:
            error = unavailable(f"{WHO}'s rate limit is exceeded. Try again shortly.", left)
            error.is_outage = True
            raise error

    async def _call(
        self, calls: GuardedCalls, texts: list[str], purpose: Purpose, deadline: float
    ) -> list[list[float]]:
        try:
            async with calls.limit.enter():
                vectors = await calls.call(lambda: self._request(texts, purpose), deadline=deadline)
        except AppError as error:
            self._failing = self._failing or isinstance(error, TimedOut) or error.is_outage
            raise
        self._failing = False
        return vectors

    async def _request(self, texts: list[str], purpose: Purpose) -> list[list[float]]:
        vectors = await self._client.embed(texts, purpose)
        if len(vectors) != len(texts):
            raise UnfitVectors(f"{WHO} did not return one vector for each text.")
        dimensions = {len(vector) for vector in vectors}
        if self.dimensions and dimensions != {self.dimensions}:
            raise UnfitVectors(
                f"{WHO} returned vectors with {dimensions.pop()} dimensions instead of {self.dimensions}."
                " Set EMBEDDER_MODEL to the model of the index, or run `python -m app reindex`."
            )
        return vectors

    def _classify(self, error: Exception) -> ModelFailure:
        if isinstance(error, UnfitVectors):
            failure = ModelFailure(UpstreamFailed(str(error)), can_retry=False, is_down=True)
        else:
            failure = self._client.classify(error)
        if failure.status == 429:
            wait = min(failure.retry_after or DEFAULT_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            wait = wait if failure.can_retry else LONGEST_PAUSE_SECONDS
            self._paused_until = max(self._paused_until, time.monotonic() + wait)
        if failure.status in REFUSED_FOR_ALL:
            failure = replace(failure, is_down=True)
        self._failing = self._failing or failure.is_down
        return failure

    async def _fails_for_all(self, deadline: float) -> bool:
        """Whether the provider fails for a harmless text, too. One project's texts do not open the circuit breaker."""
        try:
            async with asyncio.timeout_at(min(deadline, now() + QUESTION_SECONDS)):
                await self._request([PROBE], Purpose.DOCUMENT)
        except self._errors:
            return True
        self._failing = False
        return False

    async def healthy(self) -> bool:
        """After a failure, the provider is asked again, so that readiness recovers without traffic."""
        if self._paused_until > time.monotonic():
            return False
        if self._failing and time.monotonic() - self._probed_at >= self._rest_seconds / 3:
            self._probed_at = time.monotonic()
            await self._probe()
        return not self._failing

    async def _probe(self) -> None:
        for purpose, guard in self._guards.items():
            deadline = now() + QUESTION_SECONDS
            try:
                await guard.calls.call(partial(self._request, [PROBE], purpose), deadline=deadline, tries=1)
            except AppError:
                return
        self._failing = False

    async def learn_dimensions(self) -> int:
        calls = self._guards[Purpose.DOCUMENT].calls
        [vector] = await self._call(calls, [PROBE], Purpose.DOCUMENT, now() + OPENING_SECONDS)
        return len(vector)

    async def close(self) -> None:
        await self._client.close()


async def open_remote_embedder(
    client: EmbeddingClient, known: KnownDimensions, limits: EmbedderLimits = DEFAULT_LIMITS
) -> RemoteEmbedder:
    """Embeds one text to learn the dimensions. If the provider is away, those of the last start are used."""
    embedder = RemoteEmbedder(client, limits, VectorCache())
    try:
        embedder.dimensions = await embedder.learn_dimensions()
    except AppError as error:
        dimensions = known.read(client.name) if isinstance(error, Unavailable | TimedOut) else None
        if dimensions is None:
            await embedder.close()
            hint = "" if "Check" in error.detail else " Check EMBEDDER_BASE_URL, EMBEDDER_MODEL and EMBEDDER_API_KEY."
            raise ConfigurationError(f"{error.detail}{hint}") from None
        log.warning("embedder.unavailable_at_start", embedder=client.name)
        embedder.dimensions = dimensions
    else:
        known.write(client.name, embedder.dimensions)
    return embedder
