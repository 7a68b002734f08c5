"""Fetch and cache the public keys of a token issuer. Supabase allows them to be cached for ten minutes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
import structlog

from app.core.errors import Unavailable
from app.identity.tokens import Jwk, find_key

log = structlog.get_logger()

TIMEOUT_SECONDS = 3
FRESH_SECONDS = 600
STALE_SECONDS = 600
UNKNOWN_KEY_SECONDS = 30
RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class _Fetched:
    keys: Sequence[Jwk]
    at: float


class JwksCache:
    """Runs one fetch at a time and refetches for unknown key ids at most every 30 seconds.

    While the issuer is unreachable, the last fetched keys stay valid for another ten minutes.
    """

    def __init__(self, url: str, client: httpx.AsyncClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._fetching: asyncio.Task[None] | None = None
        self._fetched: _Fetched | None = None
        self._tried_at = float("-inf")

    async def find(self, kid: str | None) -> Jwk | None:
        if self._fetched is None or self._age(self._fetched) >= FRESH_SECONDS:
            await self._refresh()
        key = find_key(self._usable(), kid)
        if key is None and kid is not None:
            await self._refresh()
            key = find_key(self._usable(), kid)
        return key

    def purge(self) -> None:
        self._fetched = None
        self._tried_at = float("-inf")

    def _age(self, fetched: _Fetched) -> float:
        return self._clock() - fetched.at

    async def _refresh(self) -> None:
        """All callers wait for the same fetch, which continues when one of them is cancelled."""
        pause = RETRY_SECONDS if self._fetched is None else UNKNOWN_KEY_SECONDS
        if self._fetching is None and self._clock() - self._tried_at >= pause:
            self._fetching = asyncio.create_task(self._fetch())
        if self._fetching is not None:
            await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            answer = await self._client.get(self._url, timeout=TIMEOUT_SECONDS)
            self._fetched = _Fetched(_keys(answer.raise_for_status().json()), self._clock())
        except (httpx.HTTPError, ValueError) as error:
            log.warning("identity.keys_not_fetched", error=type(error).__name__)
        finally:
            self._fetching = None

    def _usable(self) -> Sequence[Jwk]:
        if self._fetched is None or self._age(self._fetched) >= FRESH_SECONDS + STALE_SECONDS:
            raise Unavailable("The keys of the token issuer cannot be fetched at the moment. Try again shortly.")
        return self._fetched.keys


def _keys(document: object) -> Sequence[Jwk]:
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("not a key set")
    return [key for key in keys if isinstance(key, dict) and key.get("kty") in ("EC", "RSA")]
