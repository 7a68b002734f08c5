"""Readiness and metrics cost little, however often they are requested, and metrics can be protected."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from app.core.http.metrics_access import MAX_METRICS_CONNECTIONS, create_metrics_app, serve_metrics
from app.core.http.status_reports import KEPT_SECONDS, StatusReports, start_check
from app.core.rate_limit import STATUS_REQUESTS_PER_MINUTE, LimitExceeded, StatusLimit
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import MakeKey, open_client
from tests.patience import PATIENCE_SECONDS


class Counted:
    """A check and a gauge that count how often they run."""

    def __init__(self) -> None:
        self.runs = 0

    async def check(self) -> bool:
        self.runs += 1
        await asyncio.sleep(0.05)
        return True

    async def update(self) -> None:
        await self.check()


@pytest.mark.parametrize("path", ["/v1/ready", "/metrics"])
async def test_many_requests_share_one_report(path: str, resources: Resources) -> None:
    counted = Counted()
    own = replace(resources, checks={"counted": counted.check}, gauges=(), essential=frozenset())
    if path == "/metrics":
        own = replace(own, checks={}, gauges=(counted.update,))
    app, now = create_app(own), [0.0]
    app.state.status_reports = StatusReports(own, clock=lambda: now[0])
    async with open_client(app) as client:
        answers = await asyncio.gather(*(client.get(path) for _ in range(30)))
        answers.append(await client.get(path))
        assert {answer.status_code for answer in answers} == {200}
        assert counted.runs == 1
        now[0] += KEPT_SECONDS
        await client.get(path)
        assert counted.runs == 2


async def test_report_ends_although_the_client_that_began_it_leaves(resources: Resources) -> None:
    counted = Counted()
    own = replace(resources, checks={"counted": counted.check}, essential=frozenset())
    reports = StatusReports(own, clock=lambda: 0.0)
    first = asyncio.create_task(reports.readiness.get())
    await asyncio.sleep(0.01)
    second = asyncio.create_task(reports.readiness.get())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).checks == {"counted": "ok"}
    assert counted.runs == 1


async def test_check_that_hangs_is_not_started_again(resources: Resources) -> None:
    counted = Counted()
    check = counted.check
    runs = [start_check(resources, check) for _ in range(3)]
    assert await asyncio.gather(*runs) == [True] * 3
    assert counted.runs == 1


@pytest.mark.parametrize("path", ["/v1/ready", "/metrics"])
async def test_health_requests_are_limited_apart_from_those_of_callers(
    path: str, resources: Resources, make_key: MakeKey
) -> None:
    app = create_app(resources)
    holder = await make_key()
    async with open_client(app) as client, open_client(app, holder.key) as caller:
        for _ in range(STATUS_REQUESTS_PER_MINUTE // 50 + 1):
            answers = await asyncio.gather(*(client.get(path) for _ in range(50)))
        assert answers[-1].status_code == 429
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert (await caller.get("/v1/ping/")).status_code == 200
        assert (await client.get("/v1/health")).status_code == 200


async def test_addresses_of_one_network_share_the_limit() -> None:
    limit = StatusLimit()
    for number in range(STATUS_REQUESTS_PER_MINUTE):
        await limit.admit(f"2001:db8::{number:x}")
    with pytest.raises(LimitExceeded):
        await limit.admit("2001:db8::ffff")
    await limit.admit("2001:db8:0:1::1")


async def hang() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise OperationalError("select 1", {}, OSError("the connection was closed"))


@pytest.mark.parametrize("update", [hang, fail])
async def test_gauge_without_an_answer_does_not_hide_the_other_metrics(
    update: Callable[[], Awaitable[None]], resources: Resources
) -> None:
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        open_client(create_app(replace(resources, gauges=(update,)))) as client,
    ):
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert "keepsake_database_connections_in_use " in answer.text


@pytest.mark.parametrize(
    ("sent", "status"), [(None, 401), ("Bearer wrong", 401), ("Bearer grüße", 401), ("Bearer right", 200)]
)
async def test_metrics_require_the_token_if_there_is_one(sent: str | None, status: int, resources: Resources) -> None:
    headers = [(b"Authorization", sent.encode())] if sent else []
    async with open_client(create_app(replace(resources, metrics_token="right"))) as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == status
    assert ("keepsake_requests" in answer.text) is (status == 200)


async def test_metrics_are_served_at_their_own_address_only(resources: Resources) -> None:
    own = replace(resources, config=replace(resources.config, metrics_apart=True))
    app = create_app(own)
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        serve_metrics(create_metrics_app(app.state.status_reports), listener),
        open_client(app) as main,
        httpx.AsyncClient(base_url=address, timeout=PATIENCE_SECONDS) as client,
    ):
        missing = await main.get("/metrics")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert "keepsake_requests" in (await client.get("/metrics")).text
        assert (await client.get("/v1/ping/")).status_code == 404
        idle = [await asyncio.open_connection(*listener.getsockname()) for _ in range(MAX_METRICS_CONNECTIONS)]
        assert (await client.get("/metrics")).status_code == 503
        for _, writer in idle:
            writer.close()
