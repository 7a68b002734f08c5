"""The page at `/`: its files, and its use by a person in a real browser."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from app.admin.usage_writer import UsageWriter
from app.core.resources import Resources
from app.web.page import FILES
from tests.e2e.server import serving
from tests.loopback import free_port
from tests.patience import PATIENCE_SECONDS
from tests.web.browser import find_browser

SCRIPTS = Path(__file__).parent.parent / "e2e" / "page"
FIRST_VIEW = [
    "index.html",
    "page.css",
    "icon.svg",
    "app.js",
    "api.js",
    "elements.js",
    "focus.js",
    "texts.js",
    "sign_in.js",
]
MAX_FIRST_VIEW = 100_000


def find_node() -> str:
    node = shutil.which("node")
    assert node, "This test needs Node.js"
    assert (SCRIPTS / "node_modules").is_dir(), "The packages are missing: run `npm ci` in tests/e2e/page"
    return node


async def run_script(*arguments: str, **settings: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        find_node(),
        *arguments,
        cwd=SCRIPTS,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 15 * PATIENCE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()


async def use_the_page(
    url: str, width: int, scheme: str, script: str = "flow.mjs", **settings: str
) -> dict[str, list[str]]:
    _, output = await run_script(script, url, find_browser(), "", str(width), scheme, **settings)
    found: dict[str, list[str]] = json.loads(output.splitlines()[-1])
    return found


async def test_person_remembers_corrects_forgets_and_leaves(server_url: str) -> None:
    """With axe in every view, hostile text in every field, and nothing of incognito in the browser's storage."""
    assert await use_the_page(server_url, 1280, "light") == {"problems": [], "violations": []}


@asynccontextmanager
async def write_usage_often(resources: Resources) -> AsyncIterator[None]:
    """The counts of requests, which the server writes every ten seconds."""
    writer = UsageWriter(resources.database, resources.usage)

    async def write() -> None:
        while True:
            await asyncio.sleep(0.2)
            await writer.write()

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        task.cancel()


async def test_person_manages_memories_and_operates_the_project(server_url: str, resources: Resources) -> None:
    """With axe in every view and state, a sign-in that no script can read, and answers that fail or come late."""
    async with write_usage_often(resources):
        found = await use_the_page(server_url, 1280, "light", script="operations.mjs")
    assert found == {"problems": [], "violations": []}


@pytest.mark.long
async def test_memories_and_operations_work_on_a_phone_in_the_dark(server_url: str, resources: Resources) -> None:
    async with write_usage_often(resources):
        found = await use_the_page(server_url, 360, "dark", script="operations.mjs")
    assert found == {"problems": [], "violations": []}


@pytest.mark.long
async def test_page_works_on_a_phone_in_the_dark(server_url: str) -> None:
    assert await use_the_page(server_url, 360, "dark") == {"problems": [], "violations": []}


async def test_types_of_the_scripts_are_right() -> None:
    assert await run_script("node_modules/typescript/bin/tsc", "-p", ".") == (0, "")


async def test_browser_gets_the_page_and_other_clients_json(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert (await anonymous.get("/")).json()["name"] == "Keepsake"
    assert (await anonymous.get("/", headers={"Accept": "*/*"})).json()["docs"] == "/docs"
    assert page.headers["vary"].startswith("Accept")


async def test_page_names_only_files_of_this_server(anonymous: httpx.AsyncClient) -> None:
    for name, path in FILES.items():
        text = path.read_text().replace('"http://www.w3.org/2000/svg"', "")
        assert re.findall(r"""["'(]https?://\w""", text) == [], name
        for linked, imported in re.findall(
            r"""(?:src|href)="(page/[^"]+)"|(?:import|from)\W+"(\.{1,2}/[^"]+)\"""", text
        ):
            response = await anonymous.get(urljoin("/", linked) if linked else urljoin(f"/page/{name}", imported))
            assert (response.status_code, response.headers["cache-control"]) == (200, "no-cache"), (name, imported)


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "nonsense.js",
        "..%2F..%2Fpage.py",
        "%2e%2e/%2e%2e/page.py",
        "developers/..%2f..%2f..%2fpage.py",
        "developers",
        "developers/",
        "app.js/",
        "%2Fetc%2Fpasswd",
        "",
    ],
)
async def test_page_serves_no_other_file(anonymous: httpx.AsyncClient, name: str) -> None:
    assert (await anonymous.get(f"/page/{name}")).status_code == 404


def test_every_style_is_closed() -> None:
    """A brace that is missing would put all the following styles inside of one, where they match nothing."""
    depth = 0
    for number, line in enumerate(FILES["page.css"].read_text().splitlines(), 1):
        depth += line.count("{") - line.count("}")
        assert line.startswith((" ", "@", "}")) or depth <= 1, f"page.css:{number} is inside of another style"
    assert depth == 0


def test_first_view_is_small() -> None:
    assert sum(FILES[name].stat().st_size for name in FIRST_VIEW) < MAX_FIRST_VIEW


@pytest.mark.long
async def test_keyboard_alone_is_enough(server_url: str) -> None:
    """Each element is reached with Tab, its focus can be seen, and the focus is never lost."""
    assert await use_the_page(server_url, 1280, "light", script="keyboard.mjs") == {"problems": [], "violations": []}


@pytest.mark.long
async def test_links_in_emails_end_in_the_page(tmp_path: Path) -> None:
    port = str(free_port())
    mail = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": port, "SMTP_SECURITY": "none"}
    with serving(tmp_path / "data", **mail) as keepsake:
        found = await use_the_page(keepsake.address, 1280, "light", script="mails.mjs", MAIL_PORT=port)
    assert found == {"problems": [], "violations": []}
