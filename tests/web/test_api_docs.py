"""`/docs` and `/redoc` in a real browser that can reach nothing but the server under test."""

import asyncio
import os
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.patience import PATIENCE_SECONDS
from tests.web.browser import find_browser

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=30000", "--dump-dom"),
]
# Redoc has no option to leave out the logo of its makers; the policy keeps the browser from loading it.
REDOC_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


async def render(url: str, profile: Path) -> tuple[str, str]:
    """The document after its scripts have run, and what the browser logged."""
    process = await asyncio.create_subprocess_exec(
        *(find_browser(), *FLAGS, NO_NETWORK, f"--user-data-dir={profile}", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(profile)},
    )
    try:
        document, log = await asyncio.wait_for(process.communicate(), 5 * PATIENCE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return document.decode(), log.decode(errors="replace")


def operation_ids(app: FastAPI) -> set[str]:
    paths = app.openapi()["paths"].values()
    return {operation["operationId"] for methods in paths for operation in methods.values()}


# Swagger UI names the element of an operation `operations-TAG-ID`; Redoc links to `tag/TAG/operation/ID`.
@pytest.mark.parametrize(
    ("page", "operation"), [("/docs", r'id="operations-[^"]+-(\w+)"'), ("/redoc", r"operation/(\w+)")]
)
async def test_browser_shows_every_operation_without_internet(
    app: FastAPI, app_url: str, tmp_path: Path, page: str, operation: str
) -> None:
    document, log = await render(app_url + page, tmp_path)
    shown = set(re.findall(operation, document))
    assert operation_ids(app) - shown == set(), log[-3000:]
    failures = re.findall(r".*(?:Content Security Policy|ERR_NAME_NOT_RESOLVED|Uncaught).*", log)
    assert [failure for failure in failures if REDOC_LOGO not in failure] == []


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_page_has_a_strict_policy_and_names_only_files_of_this_server(
    anonymous: httpx.AsyncClient, page: str
) -> None:
    response = await anonymous.get(page)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self';")
    assert ("unsafe-inline" in policy) == (page == "/redoc")
    assert "//" not in response.text
    for name in re.findall(r'(?:src|href)="([^"]+)"', response.text):
        asset = await anonymous.get(f"/{name}")
        assert (asset.status_code, asset.headers["cache-control"]) == (200, "public, max-age=3600"), name


async def test_other_files_are_not_served(anonymous: httpx.AsyncClient) -> None:
    for name in ("nonsense.js", "..%2Fapi_docs.py", "redoc.html"):
        assert (await anonymous.get(f"/docs/assets/{name}")).status_code == 404
