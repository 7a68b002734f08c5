import asyncio

import httpx
import pytest

from app.core.errors import Unavailable
from app.identity.jwks import JwksCache
from app.identity.local.security.keys import new_key, public_half

URL = "https://ref.supabase.co/auth/v1/.well-known/jwks.json"


class Supabase:
    """A key endpoint that can be rotated, taken away and made to talk nonsense."""

    def __init__(self) -> None:
        self.keys = [public_half(new_key())]
        self.asked = 0
        self.answer: httpx.Response | httpx.HTTPError | None = None
        self.now = 1000.0
        self.cache = JwksCache(URL, httpx.AsyncClient(transport=httpx.MockTransport(self._serve)), clock=self._clock)

    async def has(self, number: int) -> bool:
        kid = self.keys[number]["kid"] if number < len(self.keys) else "unknown"
        return await self.cache.find(str(kid)) is not None

    def _clock(self) -> float:
        return self.now

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, httpx.HTTPError):
            raise self.answer
        return self.answer or httpx.Response(200, json={"keys": [dict(key) for key in self.keys]})


async def test_keys_are_fetched_once_and_kept_ten_minutes() -> None:
    supabase = Supabase()
    assert all(await asyncio.gather(*(supabase.has(0) for _ in range(20))))
    supabase.now += 599
    assert await supabase.has(0)
    assert supabase.asked == 1
    supabase.now += 1
    assert await supabase.has(0)
    assert supabase.asked == 2


async def test_a_new_key_is_found_and_unknown_ones_do_not_cause_a_storm() -> None:
    supabase = Supabase()
    assert await supabase.has(0)
    supabase.keys.append(public_half(new_key()))
    assert not await supabase.has(1)
    supabase.now += 30
    assert await supabase.has(1)
    assert supabase.asked == 2
    assert not any(await asyncio.gather(*(supabase.cache.find(f"random {number}") for number in range(50))))
    supabase.now += 30
    assert not any(await asyncio.gather(*(supabase.cache.find(f"random {number}") for number in range(50))))
    assert supabase.asked == 3


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectTimeout("away"),
        httpx.Response(503),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"keys": 1}),
    ],
    ids=str,
)
async def test_while_supabase_is_away_the_last_keys_count_for_ten_minutes(
    answer: httpx.Response | httpx.HTTPError,
) -> None:
    supabase = Supabase()
    assert await supabase.has(0)
    supabase.answer = answer
    supabase.now += 1199
    assert await supabase.has(0)
    supabase.now += 1
    with pytest.raises(Unavailable):
        await supabase.has(0)
    supabase.answer = None
    supabase.now += 30
    assert await supabase.has(0)


async def test_a_cold_start_without_supabase_fails_all_together_and_tries_again_soon() -> None:
    supabase = Supabase()
    supabase.answer = httpx.ConnectError("away")
    answers = await asyncio.gather(*(supabase.has(0) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert supabase.asked == 1
    supabase.answer = None
    with pytest.raises(Unavailable):
        await supabase.has(0)
    supabase.now += 1
    assert await supabase.has(0)


async def test_one_who_hangs_up_does_not_spoil_it_for_the_others() -> None:
    supabase = Supabase()
    impatient, patient = (asyncio.create_task(supabase.has(0)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient
    assert supabase.asked == 1


async def test_a_purge_acts_at_once() -> None:
    supabase = Supabase()
    assert await supabase.has(0)
    kid = str(supabase.keys.pop()["kid"])
    assert await supabase.cache.find(kid) is not None
    supabase.cache.purge()
    assert await supabase.cache.find(kid) is None


async def test_a_shared_secret_in_a_key_set_is_ignored() -> None:
    supabase = Supabase()
    supabase.keys = [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "a"}]
    assert not await supabase.has(0)
