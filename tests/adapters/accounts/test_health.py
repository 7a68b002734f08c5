"""Readiness asks the identity provider seldom, however often it is asked itself."""

import httpx
import pytest
import respx

from app.adapters.accounts.health import KEPT_SECONDS, IdentityHealth
from tests.patience import PATIENCE_SECONDS

URL = "https://ref.supabase.co/auth/v1"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@respx.mock
async def test_result_is_kept_for_a_while() -> None:
    route = respx.get(f"{URL}/health").mock(side_effect=[httpx.Response(200), httpx.Response(503), httpx.Response(200)])
    clock = Clock()
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        health = IdentityHealth(URL, http, "sb_publishable_test", clock=clock)
        results = []
        for _ in range(3):
            results += [await health.check(), await health.check()]
            clock.now += KEPT_SECONDS
    assert results == [True, True, False, False, True, True]
    assert route.call_count == 3
    assert route.calls.last.request.headers["apikey"] == "sb_publishable_test"


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.Response(502, text="<html>")], ids=repr
)
@respx.mock
async def test_provider_that_does_not_respond_is_unavailable(failure: httpx.Response | Exception) -> None:
    respx.get(f"{URL}/health").mock(side_effect=[failure])
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        assert not await IdentityHealth(URL, http, "sb_publishable_test").check()
