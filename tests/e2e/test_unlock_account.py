"""`accounts unlock` reaches a running server, whose counters are in its own memory."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, environment, serving

EMAIL = "ada@example.com"


def unlock(data_dir: Path, email: str, name: str = "unlock", **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", "accounts", name, email]
    values = environment(data_dir, **settings)
    return subprocess.run(command, cwd=ROOT, env=values, capture_output=True, text=True, timeout=60)


async def test_locked_account_signs_in_again_after_the_command(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir, PASSWORD_GUESSES="3") as keepsake:
        async with httpx.AsyncClient(base_url=keepsake.address, timeout=30) as client:
            right = {"email": EMAIL, "password": "correct horse battery"}
            assert (await client.post("/v1/auth/signup", json=right)).status_code == 200
            for _ in range(3):
                wrong = {"email": EMAIL, "password": "wrong"}
                assert (await client.post("/v1/auth/login", json=wrong)).status_code == 401
            locked = await client.post("/v1/auth/login", json=right)
            assert (locked.status_code, int(locked.headers["Retry-After"]) > 800) == (429, True)
            unlocked = await asyncio.to_thread(unlock, data_dir, EMAIL.upper())
            assert (unlocked.returncode, unlocked.stdout.strip()) == (0, f"{EMAIL.upper()} can sign in again")
            assert (await client.post("/v1/auth/login", json=right)).status_code == 200
            unknown = await asyncio.to_thread(unlock, data_dir, "nemo@example.com")
            assert (unknown.returncode, "No account has this address" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("name", ["unlock", "remove-factors"])
def test_commands_refuse_where_supabase_manages_accounts(name: str, tmp_path: Path) -> None:
    supabase = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"}
    refused = unlock(tmp_path / "data", EMAIL, name, **supabase)
    assert (refused.returncode, "Supabase manages these accounts" in refused.stderr) == (2, True)
