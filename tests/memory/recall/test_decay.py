"""Decay: what was used lately ranks higher, what was not fades, and nobody notices where it is off."""

import datetime as dt
import uuid

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.memory.ledger.models import Memory
from app.memory.recall.decay import CEILING, FLOOR, factor, fade, pool
from app.memory.recall.recall import Recalled

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ages = st.floats(0, 5000)


@given(ages, st.lists(ages, max_size=40))
def test_the_factor_stays_in_its_bounds(age: float, uses: list[float]) -> None:
    assert FLOOR <= factor(NOW - age * DAY, sorted(NOW - use * DAY for use in uses), NOW) <= CEILING


def test_what_is_new_is_left_alone_and_what_is_old_fades_to_the_floor() -> None:
    assert factor(NOW, [], NOW) == 1.0
    assert FLOOR < factor(NOW - 60 * DAY, [], NOW) < 0.6
    assert abs(factor(NOW - 5000 * DAY, [], NOW) - FLOOR) < 0.001


def test_uses_lift_and_lately_more_than_long_ago() -> None:
    old = NOW - 400 * DAY
    once, often = factor(old, [NOW - DAY], NOW), factor(old, [NOW - DAY] * 20, NOW)
    assert factor(old, [], NOW) < factor(old, [NOW - 90 * DAY], NOW) < once < often
    assert often > 1.4


def test_only_the_last_twenty_uses_count() -> None:
    old, long_ago = NOW - 400 * DAY, [NOW - 300 * DAY] * 100
    assert factor(old, [*long_ago, *[NOW] * 20], NOW) == factor(old, [NOW] * 20, NOW)


def test_a_clock_that_was_ahead_does_no_harm() -> None:
    assert factor(NOW + DAY, [NOW + DAY], NOW) <= CEILING


def recalled(score: float, age: float, uses: int = 0) -> Recalled:
    return Recalled(Memory(created_at=NOW - age * DAY, accessed_at=[NOW] * uses), score, {"similarity": 0.5})


def test_fading_changes_the_order_and_keeps_the_score_within_one() -> None:
    faded, used = recalled(0.7, 1000), recalled(0.68, 1000, 20)
    found = fade([faded, used], 1, NOW)
    assert [each.memory for each in found] == [used.memory]
    assert found[0].score == 1.0
    assert found[0].parts["decay"] > 1.4


def test_the_pool_is_wider_than_what_is_asked_for() -> None:
    assert (pool(1), pool(10), pool(100)) == (50, 50, 300)


async def test_a_projects_searches_fade_only_where_it_wants_that(
    client: httpx.AsyncClient, project_id: uuid.UUID
) -> None:
    ping = (await client.get("/v1/ping/")).json()
    project = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{project_id}/"
    said = {"messages": "I like green tea", "user_id": "anna", "infer": False, "timestamp": "2020-01-01"}
    await client.post("/v3/memories/add/", json=said)
    before = await score(client)
    await client.patch(project, json={"decay": True})
    faded = await score(client)
    assert faded < before * 0.5
    assert await score(client) > faded, "having been found counts as a use"
    await client.patch(project, json={"decay": False})
    assert await score(client) == pytest.approx(before, rel=0.01)


async def score(client: httpx.AsyncClient) -> float:
    asked = {"query": "Which tea do I like?", "filters": {"user_id": "anna"}, "threshold": 0}
    [found] = (await client.post("/v3/memories/search/", json=asked)).json()["results"]
    return float(found["score"])
