"""The examples for Node, unchanged, against a server on loopback."""

import asyncio
import re
import uuid

import psycopg
from fastapi import FastAPI, HTTPException, Request
from jose import jwt

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.resources import Resources
from tests.conftest import MakeKey
from tests.examples.conftest import EXAMPLES, MISSING, run_example
from tests.loopback import serve_on_loopback
from tests.postgrest import read_rows
from tests.test_schema import plain


async def test_mem0_typescript_example_recalls_what_it_added(server_url: str, make_key: MakeKey) -> None:
    assert "mem0_typescript" not in MISSING, "run `npm ci` in examples/mem0_typescript"
    key = (await make_key()).key
    environment = {"MEM0_TELEMETRY": "false", "KEEPSAKE_URL": server_url, "KEEPSAKE_API_KEY": key}
    assert await run_example("mem0_typescript", "npm", "start", "--silent", **environment) == [
        "status: PENDING",
        "Where does Ben live? -> I moved to Lisbon in May.",
        "What is Ben allergic to? -> I am allergic to peanuts.",
    ]


async def test_supabase_js_example_signs_up_and_then_signs_in(server_url: str) -> None:
    assert "supabase_js" not in MISSING, "run `npm ci` in examples/supabase_js"
    email = f"{uuid.uuid4().hex[:12]}@example.com"
    for _ in range(2):
        lines = await run_example("supabase_js", "npm", "start", "--silent", KEEPSAKE_URL=server_url, EMAIL=email)
        assert lines == [f"signed in as {email}", "remembered: My favourite colour is green."]


def supabase_with(app: FastAPI, resources: Resources, database_url: str) -> FastAPI:
    """What a browser sees of Supabase: accounts at /auth/v1, and the database at /rest/v1."""
    supabase = FastAPI()

    @supabase.get("/rest/v1/{table}")
    async def read(table: str, request: Request) -> list[object]:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = None
        if token.count(".") == 2:
            await resources.tokens.verify(token)
            claims = jwt.get_unverified_claims(token)
        try:
            with psycopg.connect(plain(database_url)) as connection:
                return await asyncio.to_thread(read_rows, connection, claims, table, dict(request.query_params))
        except psycopg.errors.InsufficientPrivilege:
            raise HTTPException(401) from None

    supabase.mount("/", app)
    return supabase


async def test_supabase_front_end_reads_only_its_own_memories(
    server_url: str, app: FastAPI, resources: Resources, postgres: EmbeddedPostgres
) -> None:
    assert "supabase_js" not in MISSING, "run `npm ci` in examples/supabase_js"
    supabase = supabase_with(app, resources, postgres.url("postgres"))
    async with serve_on_loopback(supabase) as url:
        environment = {"SUPABASE_URL": url, "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x", "KEEPSAKE_URL": server_url}
        for _ in range(2):
            email = f"{uuid.uuid4().hex[:12]}@example.com"
            command = ("npm", "run", "--silent", "memories")
            lines = await run_example("supabase_js", *command, **environment, EMAIL=email)
            assert lines[:-1] == [f"signed in as {email}", "own memory: My favourite colour is green."]
            assert lines[-1].startswith("signed out: "), lines
            assert "green" not in lines[-1]


def test_page_of_the_front_end_uses_the_tested_module_and_version() -> None:
    folder = EXAMPLES / "supabase_js"
    page = (folder / "index.html").read_text()
    (version,) = re.findall(r'"@supabase/supabase-js": "([\d.]+)"', (folder / "package.json").read_text())
    assert f"@supabase/supabase-js@{version}" in page
    assert 'from "./front-end.mjs"' in page
