"""Runs the table of calls with supabase-py and with supabase-js against one provider."""

import asyncio
import json
import shutil
import uuid
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.supabase_live.calls import Calls

JS = Path(__file__).parent.parent / "e2e" / "js"
"""The packages that `npm ci` installs are there."""


@dataclass(frozen=True)
class LiveProvider:
    """What a client of Supabase must know."""

    name: str
    url: str
    publishable_key: str
    secret_key: str


async def run_python(provider: LiveProvider) -> Mapping[str, str]:
    return await Calls(provider.url, provider.publishable_key, provider.secret_key, new_prefix()).run()


async def run_javascript(provider: LiveProvider) -> Mapping[str, str]:
    assert shutil.which("node"), "supabase-js needs node"
    node = await asyncio.create_subprocess_exec(
        *("node", "calls.mjs", provider.url, provider.publishable_key, provider.secret_key, new_prefix()),
        cwd=JS,
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await node.communicate()
    assert node.returncode == 0, errors.decode()
    outcomes: Mapping[str, str] = json.loads(output)
    return outcomes


def new_prefix() -> str:
    return uuid.uuid4().hex[:12]
