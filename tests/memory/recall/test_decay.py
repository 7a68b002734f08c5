"""Decay: memories that were used lately rank higher, unused ones lower, and only where a project enables it."""

import datetime as dt
import uuid

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.memory.ledger import SearchRow
from app.memory.recall import Recalled
from app.memory.recall.decay import MAX_FACTOR, MIN_FACTOR, apply_decay, candidate_pool_size, decay_factor

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ages = st.floats(0, 5000)


@given(ages, st.lists(ages, max_size=40))
def test_decay_factor_stays_in_its_bounds(age: float, uses: list[float]) -> None:
    assert MIN_FACTOR <= decay_factor(NOW - age * DAY, sorted(NOW - use * DAY for use in uses), NOW) <= MAX_FACTOR


def test_decay_factor_is_one_for_new_and_minimal_for_old_memories() -> None:
    assert decay_factor(NOW, [], NOW) == 1.0
    assert MIN_FACTOR < decay_factor(NOW - 60 * DAY, [], NOW) < 0.6
    assert abs(decay_factor(NOW - 5000 * DAY, [], NOW) - MIN_FACTOR) < 0.001


def test_decay_factor_grows_with_accesses_and_more_with_recent_ones() -> None:
    old = NOW - 400 * DAY
    once, often = decay_factor(old, [NOW - DAY], NOW), decay_factor(old, [NOW - DAY] * 20, NOW)
    assert decay_factor(old, [], NOW) < decay_factor(old, [NOW - 90 * DAY], NOW) < once < often
    assert often > 1.4


def test_decay_factor_counts_only_the_latest_twenty_accesses() -> None:
    old, long_ago = NOW - 400 * DAY, [NOW - 300 * DAY] * 100
    assert decay_factor(old, [*long_ago, *[NOW] * 20], NOW) == decay_factor(old, [NOW] * 20, NOW)


def test_decay_factor_tolerates_dates_in_the_future() -> None:
    assert decay_factor(NOW + DAY, [NOW + DAY], NOW) <= MAX_FACTOR


def recalled(score: float, age: float, uses: int = 0) -> Recalled:
    row = SearchRow._make([None] * len(SearchRow._fields))
    memory = row._replace(created_at=NOW - age * DAY, accessed_at=[NOW] * uses)
    return Recalled(memory, score, {"similarity": 0.5})


def test_apply_decay_changes_the_order_and_keeps_scores_below_one() -> None:
    faded, used = recalled(0.7, 1000), recalled(0.68, 1000, 20)
    found = apply_decay([faded, used], 1, NOW)
    assert [each.memory for each in found] == [used.memory]
    assert found[0].score == 1.0
    assert found[0].parts["decay"] > 1.4


def test_candidate_pool_is_wider_than_top_k() -> None:
    assert (candidate_pool_size(1), candidate_pool_size(10), candidate_pool_size(100)) == (50, 50, 300)


async def test_search_applies_decay_only_where_the_project_enables_it(
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
    assert await score(client) > faded, "being returned counts as an access"
    await client.patch(project, json={"decay": False})
    assert await score(client) == pytest.approx(before, rel=0.01)


async def score(client: httpx.AsyncClient) -> float:
    asked = {"query": "Which tea do I like?", "filters": {"user_id": "anna"}, "threshold": 0}
    [found] = (await client.post("/v3/memories/search/", json=asked)).json()["results"]
    return float(found["score"])
