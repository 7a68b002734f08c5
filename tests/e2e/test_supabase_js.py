"""The JavaScript client from npm, unchanged, in a process of its own, over HTTP on loopback."""

import asyncio
from asyncio.subprocess import PIPE

from app.core.database.database import Database
from tests.e2e.conftest import JS, READY
from tests.identity.local.conftest import build_provider, close_provider, new_email, serving


async def test_supabase_js_front_end_works_unchanged(database: Database) -> None:
    assert READY, "node and its packages are missing: run `npm ci` in tests/e2e/js"
    provider = build_provider(database, autoconfirm=False, anonymous_sign_in=True)
    async with serving(provider) as url:
        command = ("node", "accounts.mjs", url, new_email())
        node = await asyncio.create_subprocess_exec(*command, cwd=JS, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert node.stdin is not None
        assert node.stdout is not None
        assert node.stderr is not None
        said = []
        while line := (await node.stdout.readline()).decode().strip():
            said.append(line)
            if line == "mail?":
                node.stdin.write(f"{await provider.token_hash()}\n".encode())
                await node.stdin.drain()
        complaint = (await node.stderr.read()).decode()
        await node.wait()
    await close_provider(provider)
    assert said == ["mail?"] * 4 + ["done"], complaint
