import asyncio

import httpx
import pytest

from app.core.errors import Unavailable
from app.identity.jwks import JwksCache
from app.identity.local.security.keys import new_key, public_half

URL = "https://ref.supabase.co/auth/v1/.well-known/jwks.json"


class KeyEndpoint:
    """A key endpoint that can rotate its keys, fail and send invalid responses."""

    def __init__(self) -> None:
        self.keys = [public_half(new_key())]
        self.requests = 0
        self.answer: httpx.Response | httpx.HTTPError | None = None
        self.now = 1000.0
        self.cache = JwksCache(URL, httpx.AsyncClient(transport=httpx.MockTransport(self._serve)), clock=self._clock)

    async def has(self, number: int) -> bool:
        kid = self.keys[number]["kid"] if number < len(self.keys) else "unknown"
        return await self.cache.find(str(kid)) is not None

    def _clock(self) -> float:
        return self.now

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, httpx.HTTPError):
            raise self.answer
        return self.answer or httpx.Response(200, json={"keys": [dict(key) for key in self.keys]})


async def test_jwks_are_fetched_once_and_cached_for_ten_minutes() -> None:
    endpoint = KeyEndpoint()
    assert all(await asyncio.gather(*(endpoint.has(0) for _ in range(20))))
    endpoint.now += 599
    assert await endpoint.has(0)
    assert endpoint.requests == 1
    endpoint.now += 1
    assert await endpoint.has(0)
    assert endpoint.requests == 2


async def test_jwks_are_refetched_for_unknown_keys_at_a_limited_rate() -> None:
    endpoint = KeyEndpoint()
    assert await endpoint.has(0)
    endpoint.keys.append(public_half(new_key()))
    assert not await endpoint.has(1)
    endpoint.now += 30
    assert await endpoint.has(1)
    assert endpoint.requests == 2
    assert not any(await asyncio.gather(*(endpoint.cache.find(f"random {number}") for number in range(50))))
    endpoint.now += 30
    assert not any(await asyncio.gather(*(endpoint.cache.find(f"random {number}") for number in range(50))))
    assert endpoint.requests == 3


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectTimeout("unavailable"),
        httpx.Response(503),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"keys": 1}),
    ],
    ids=str,
)
async def test_last_keys_stay_valid_for_ten_minutes_while_supabase_is_unavailable(
    answer: httpx.Response | httpx.HTTPError,
) -> None:
    endpoint = KeyEndpoint()
    assert await endpoint.has(0)
    endpoint.answer = answer
    endpoint.now += 1199
    assert await endpoint.has(0)
    endpoint.now += 1
    with pytest.raises(Unavailable):
        await endpoint.has(0)
    endpoint.answer = None
    endpoint.now += 30
    assert await endpoint.has(0)


async def test_cold_start_without_supabase_fails_once_and_retries_soon() -> None:
    endpoint = KeyEndpoint()
    endpoint.answer = httpx.ConnectError("unavailable")
    answers = await asyncio.gather(*(endpoint.has(0) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert endpoint.requests == 1
    endpoint.answer = None
    with pytest.raises(Unavailable):
        await endpoint.has(0)
    endpoint.now += 1
    assert await endpoint.has(0)


async def test_cancelled_caller_does_not_cancel_the_fetch_of_others() -> None:
    endpoint = KeyEndpoint()
    impatient, patient = (asyncio.create_task(endpoint.has(0)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient
    assert endpoint.requests == 1


async def test_jwks_purge_acts_immediately() -> None:
    endpoint = KeyEndpoint()
    assert await endpoint.has(0)
    kid = str(endpoint.keys.pop()["kid"])
    assert await endpoint.cache.find(kid) is not None
    endpoint.cache.purge()
    assert await endpoint.cache.find(kid) is None


async def test_shared_secret_in_a_key_set_is_ignored() -> None:
    endpoint = KeyEndpoint()
    endpoint.keys = [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "a"}]
    assert not await endpoint.has(0)
