import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.core.errors import Conflict
from app.core.observability.metrics import REGISTRY
from tests.conftest import open_client
from tests.core.conftest import MakeApp
from tests.patience import PATIENCE_SECONDS

SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
ORIGIN = "https://chat.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def boom() -> None:
    raise RuntimeError("boom")


async def conflict() -> None:
    raise Conflict("Two at once")


async def never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("given", ["abcdefgh", "A.b_c-1234", "x" * 64])
async def test_request_keeps_the_id_of_the_client(anonymous: httpx.AsyncClient, given: str) -> None:
    answer = await anonymous.get("/v1/projects", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "semi;colon1", "<script>alert", "ümlauts-1"])
async def test_unsafe_request_id_is_replaced(anonymous: httpx.AsyncClient, given: str) -> None:
    answer = await anonymous.get("/v1/projects", headers=[(b"X-Request-ID", given.encode())])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


async def test_request_ids_are_unique(anonymous: httpx.AsyncClient) -> None:
    answers = [await anonymous.get("/v1/health") for _ in range(20)]
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 20


async def test_responses_have_security_headers(extendable_app: FastAPI, app_client: httpx.AsyncClient) -> None:
    extendable_app.add_api_route("/boom", boom)
    extendable_app.add_api_route("/conflict", conflict)
    expected = {
        ("GET", "/v1/health"): 200,
        ("GET", "/nothing"): 404,
        ("DELETE", "/v1/health"): 405,
        ("GET", "/v1/projects"): 401,
        ("POST", "/v1/auth/login"): 422,
        ("GET", "/conflict"): 409,
        ("GET", "/boom"): 500,
        ("GET", "/auth/v1/nothing"): 404,
    }
    for (method, path), status in expected.items():
        answer = await app_client.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == status, path
        assert SAFE.items() <= dict(answer.headers).items(), path
        assert answer.headers["content-security-policy"].startswith("default-src 'none'"), path
        assert answer.headers.get_list("X-Request-ID") == [answer.headers["X-Request-ID"]], path


@pytest.mark.parametrize(
    ("public_url", "address", "sent"),
    [
        ("http://memory.example.com", "http://test", False),
        ("http://memory.example.com", "https://test", True),
        ("https://memory.example.com", "http://test", True),
    ],
)
async def test_https_is_required_for_the_next_year_where_the_address_is_https(
    make_app: MakeApp, public_url: str, address: str, sent: bool
) -> None:
    async with open_client(make_app(base_url=public_url)) as client:
        for path, status in {"/v1/health": 200, "/nothing": 404, "/v1/projects": 401}.items():
            answer = await client.get(f"{address}{path}")
            assert answer.status_code == status
            assert answer.headers.get_list("Strict-Transport-Security") == (["max-age=31536000"] if sent else [])


@pytest.mark.parametrize("path", ["/", "/v1/health", "/v1/ready", "/v1/health/"])
async def test_health_routes_answer_head(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.head(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"


def test_document_lists_head_nowhere(app: FastAPI) -> None:
    assert [path for path, methods in app.openapi()["paths"].items() if "head" in methods] == []


async def test_api_reference_keeps_its_own_content_security_policy(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/docs")
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert SAFE.items() <= dict(answer.headers).items()


async def test_only_configured_origins_may_read_responses(make_app: MakeApp) -> None:
    async with open_client(make_app(cors_origins=(ORIGIN,))) as client:
        for path in ("/v1/health", "/v1/projects", "/nothing"):
            answer = await client.get(path, headers={"Origin": ORIGIN})
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN, path
            exposed = answer.headers["Access-Control-Expose-Headers"].lower()
            assert {"x-request-id", "x-supabase-api-version"} <= set(exposed.split(", "))
        preflight = await client.options("/v1/projects", headers={"Origin": ORIGIN, **PREFLIGHT})
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()

        stranger = {"Origin": "https://evil.example.com"}
        assert "Access-Control-Allow-Origin" not in (await client.get("/v1/health", headers=stranger)).headers
        refused = await client.options("/v1/projects", headers={**stranger, **PREFLIGHT})
        assert refused.status_code == 400
        assert "Access-Control-Allow-Origin" not in refused.headers


async def test_configured_origin_may_read_error_responses(make_app: MakeApp) -> None:
    app = make_app(cors_origins=(ORIGIN,), max_body_bytes=10)
    hasty = make_app(cors_origins=(ORIGIN,), request_timeout_seconds=0.05)
    app.add_api_route("/boom", boom)
    hasty.add_api_route("/never", never)
    async with open_client(app) as client, open_client(hasty) as impatient:
        failed = [await client.get("/boom", headers={"Origin": ORIGIN})]
        failed.append(await impatient.get("/never", headers={"Origin": ORIGIN}))
        failed.append(await client.post("/v1/auth/login", content=b" " * 20, headers={"Origin": ORIGIN}))
        stranger = await client.get("/boom", headers={"Origin": "https://evil.example.com"})
    assert [answer.status_code for answer in failed] == [500, 504, 413]
    for answer in failed:
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert SAFE.items() <= dict(answer.headers).items()
    assert "Access-Control-Allow-Origin" not in stranger.headers


async def test_no_origin_may_read_responses_by_default(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/v1/health", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1000):
        yield b" " * 1000


@pytest.mark.parametrize("path", ["/v1/auth/login", "/auth/v1/token?grant_type=password"])
async def test_too_large_body_is_refused(make_app: MakeApp, path: str) -> None:
    async with open_client(make_app(max_body_bytes=10_000)) as client:
        declared = await client.post(path, content=b" " * 10_001)
        sent_in_pieces = await client.post(path, content=chunks(20_000))
        fits = await client.post(path, content=b" " * 10_000)
    assert [declared.status_code, sent_in_pieces.status_code] == [413, 413]
    assert fits.status_code in (400, 422)
    for answer in (declared, sent_in_pieces):
        assert "MAX_BODY_BYTES" in answer.text
        assert answer.headers["X-Request-ID"]
        if path.startswith("/auth/v1"):
            assert answer.json()["error_code"] == "too_large"
        else:
            assert answer.json()["code"] == "too_large"
            assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


async def test_slow_request_is_stopped(make_app: MakeApp) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    for seconds in (0.05, 1, PATIENCE_SECONDS):  # a slow machine may not start it within the first ones
        app = make_app(request_timeout_seconds=seconds)
        app.add_api_route("/slow", slow)
        async with open_client(app) as client:
            answer = await client.get("/slow")
        if started.is_set():
            break
    assert answer.status_code == 504
    assert answer.json()["code"] == "timed_out"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert SAFE.items() <= dict(answer.headers).items()
    assert stopped.is_set()


async def test_other_timeout_errors_are_not_reported_as_the_request_timeout(
    extendable_app: FastAPI, app_client: httpx.AsyncClient
) -> None:
    async def other() -> None:
        raise TimeoutError

    extendable_app.add_api_route("/other", other)
    assert (await app_client.get("/other")).status_code == 500


@pytest.mark.parametrize("path", ["//v1/health", "///v1/health"])
async def test_leading_slashes_are_collapsed(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(f"http://test{path}")
    assert answer.json() == {"status": "ok"}


def counted(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("keepsake_requests_total", labels) or 0


async def test_metrics_label_routes_and_not_paths(client: httpx.AsyncClient) -> None:
    before = counted("GET", "/v1/profiles/{profile_id}", 422)
    missing = counted("GET", "unmatched", 404)
    await client.get("/v1/profiles/sentinel-4711")
    await client.get("/sentinel-4711")
    assert counted("GET", "/v1/profiles/{profile_id}", 422) == before + 1
    assert counted("GET", "unmatched", 404) == missing + 1
    figures = (await client.get("/metrics")).text
    assert "sentinel-4711" not in figures
    for name in ("keepsake_requests_total", "keepsake_request_seconds_bucket", "keepsake_throttled_total"):
        assert name in figures
    assert re.search(r"^keepsake_database_connections_in_use \d", figures, re.MULTILINE)
    assert REGISTRY.get_sample_value("keepsake_requests_in_flight") == 0
