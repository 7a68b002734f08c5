"""Whether the identity provider responds. Readiness asks often, so the result is kept for a while."""

import time
from collections.abc import Callable

import httpx

KEPT_SECONDS = 15.0
TIMEOUT_SECONDS = 3.0


class IdentityHealth:
    def __init__(
        self, url: str, http: httpx.AsyncClient, key: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = f"{url}/health"
        self._http = http
        self._headers = {"apikey": key}
        self._clock = clock
        self._checked_at = float("-inf")
        self._is_healthy = False

    async def check(self) -> bool:
        if self._clock() - self._checked_at >= KEPT_SECONDS:
            self._is_healthy = await self._ask()
            self._checked_at = self._clock()
        return self._is_healthy

    async def _ask(self) -> bool:
        try:
            response = await self._http.get(self._url, headers=self._headers, timeout=TIMEOUT_SECONDS)
        except httpx.HTTPError:
            return False
        return response.is_success
