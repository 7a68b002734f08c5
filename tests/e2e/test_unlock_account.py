"""`accounts unlock` reaches a running server, whose counters are in its own memory."""

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from app.__main__ import cli
from tests.e2e.server import serving

EMAIL = "ada@example.com"


def test_locked_account_signs_in_again_after_the_command(cleared: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "data", PASSWORD_GUESSES="3") as keepsake,
        httpx.Client(base_url=keepsake.address, timeout=30) as client,
    ):
        right = {"email": EMAIL, "password": "correct horse battery"}
        assert client.post("/v1/auth/signup", json=right).status_code == 200
        for _ in range(3):
            assert client.post("/v1/auth/login", json={**right, "password": "wrong"}).status_code == 401
        locked = client.post("/v1/auth/login", json=right)
        assert (locked.status_code, int(locked.headers["Retry-After"]) > 800) == (429, True)
        unlocked = CliRunner().invoke(cli, ["accounts", "unlock", EMAIL.upper()])
        assert (unlocked.exit_code, unlocked.output.strip()) == (0, f"{EMAIL.upper()} can sign in again")
        assert client.post("/v1/auth/login", json=right).status_code == 200
        unknown = CliRunner().invoke(cli, ["accounts", "unlock", "nemo@example.com"])
        assert (unknown.exit_code, "No account has this address" in unknown.output) == (2, True)


@pytest.mark.parametrize("name", ["unlock", "remove-factors"])
def test_commands_refuse_where_supabase_manages_accounts(name: str, cleared: pytest.MonkeyPatch) -> None:
    cleared.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    cleared.setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x")
    refused = CliRunner().invoke(cli, ["accounts", name, EMAIL])
    assert (refused.exit_code, "Supabase manages these accounts" in refused.output) == (2, True)
