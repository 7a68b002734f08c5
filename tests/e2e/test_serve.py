"""The `serve` command: what it starts and stops, and its errors."""

import asyncio
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from app.__main__ import cli
from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.http.connection_limits import ConnectionRules
from tests.e2e.server import ROOT, KeepsakeServer, environment, processes_using, serving
from tests.loopback import free_port
from tests.patience import PATIENCE_SECONDS

WRITERS = 8
WRITES = 500
UNWILLING = """
create function refuse_later() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;
create constraint trigger refuse_later after insert on profiles deferrable initially deferred
  for each row when (new.name = 'doomed') execute function refuse_later()
"""


def make_key(data_dir: Path) -> str:
    """Runs a command as an operator does, with or without a running server."""
    command = [sys.executable, "-m", "app", "keys", "create"]
    done = subprocess.run(command, cwd=ROOT, env=environment(data_dir), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def client_of(address: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30)


async def write(client: httpx.AsyncClient, names: Iterator[str], acknowledged: set[str]) -> None:
    """Writes until the server is gone."""
    for name in names:
        try:
            answer = await client.post("/v1/profiles", json={"user_id": "ana", "name": name})
        except httpx.TransportError:
            return
        if answer.status_code == 201:
            acknowledged.add(name)


async def stored(client: httpx.AsyncClient) -> set[str]:
    names: set[str] = set()
    cursor = ""
    while True:
        page = (await client.get(f"/v1/profiles?user_id=ana&limit=200{cursor}")).json()
        names |= {row["name"] for row in page["results"]}
        if page["next"] is None:
            return names
        cursor = f"&cursor={page['next']}"


async def sign_up_for_a_key(address: str) -> str:
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        account = {"email": "ana@example.com", "password": "correct horse battery"}
        token = (await client.post("/v1/auth/signup", json=account)).json()["access_token"]
        made = await client.post("/v1/api-keys", json={"name": "e2e"}, headers={"Authorization": f"Bearer {token}"})
    return str(made.json()["key"])


async def test_kill_during_writes_loses_nothing_acknowledged(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir) as keepsake:
        key = await sign_up_for_a_key(keepsake.address)
        acknowledged: set[str] = set()
        names = iter([uuid.uuid4().hex for _ in range(WRITES)])
        async with client_of(keepsake.address, key) as client:
            writing = [asyncio.create_task(write(client, names, acknowledged)) for _ in range(WRITERS)]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(acknowledged) < WRITES // 2:  # noqa: ASYNC110 - the other side is another process
                    await asyncio.sleep(0.005)
            keepsake.process.kill()
            await asyncio.gather(*writing)
    assert WRITES // 2 <= len(acknowledged) < WRITES

    with serving(data_dir) as keepsake:
        async with client_of(keepsake.address, key) as client:
            assert acknowledged - await stored(client) == set()
        assert keepsake.wait_until_ready()["status"] == "ready"
        assert len(processes_using(data_dir)) > 1, "there is something to stop"
        assert keepsake.stop(signal.SIGINT) == 0
    assert processes_using(data_dir) == []


# ---------------------------------------------------------------- one server for several tests


@dataclass(frozen=True)
class Shared:
    server: KeepsakeServer
    data_dir: Path
    metrics_url: str


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    data_dir, metrics = tmp_path_factory.mktemp("shared") / "data", f"127.0.0.1:{free_port()}"
    settings = {"METRICS_ADDRESS": metrics, "METRICS_TOKEN": "right", "TRUSTED_PROXIES": "127.0.0.2"}
    with serving(data_dir, **settings) as server:
        yield Shared(server, data_dir, f"http://{metrics}/metrics")
        assert server.stop(signal.SIGTERM) == 0
    assert processes_using(data_dir) == []


async def test_failed_commit_is_never_reported_as_success(shared: Shared) -> None:
    key = await asyncio.to_thread(make_key, shared.data_dir)
    url = EmbeddedPostgres(shared.data_dir).url("postgres").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
        await admin.execute(UNWILLING.encode())
    async with client_of(shared.server.address, key) as client:
        good = await client.post("/v1/profiles", json={"user_id": "ana", "name": "fine"})
        bad = await client.post("/v1/profiles", json={"user_id": "ana", "name": "doomed"})
        assert good.status_code == 201
        assert bad.status_code == 500
        assert bad.json()["code"] == "internal_error"
        assert {"fine"} <= await stored(client)
        assert "doomed" not in await stored(client)
    assert f'"{bad.json()["request_id"]}"' in "".join(shared.server.output), "the error was logged"
    assert "not this one" not in "".join(shared.server.output), "what a database says may quote content"


async def test_health_readiness_and_metrics_are_served(shared: Shared) -> None:
    async with httpx.AsyncClient(base_url=shared.server.address, timeout=PATIENCE_SECONDS) as client:
        assert (await client.get("/v1/health")).json() == {"status": "ok"}
        ready = await asyncio.to_thread(shared.server.wait_until_ready)
        assert ready["status"] == "ready"
        assert {"database", "index", "short_term"} <= ready["checks"].keys()
        assert "connections" in ready["tasks"]
        many_headers = [(f"X-{number}", "x") for number in range(ConnectionRules().headers)]
        assert (await client.get("/v1/health", headers=many_headers)).status_code == 431
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get(shared.metrics_url)).status_code == 401
        authorized = {"Authorization": "Bearer right"}
        assert "keepsake_requests" in (await client.get(shared.metrics_url, headers=authorized)).text


async def test_address_is_https_if_a_trusted_proxy_says_so(shared: Shared) -> None:
    forwarded = {"X-Forwarded-Proto": "https"}
    for address, headers in (("127.0.0.1", forwarded), ("127.0.0.2", {}), ("127.0.0.2", forwarded)):
        transport = httpx.AsyncHTTPTransport(local_address=address)
        async with httpx.AsyncClient(
            base_url=shared.server.address, transport=transport, timeout=PATIENCE_SECONDS
        ) as client:
            response = await client.head("/v1/health/", headers=headers)
        assert (response.status_code, response.content) == (200, b"")
        secure = address == "127.0.0.2" and headers == forwarded
        assert ("Strict-Transport-Security" in response.headers) is secure


def test_second_server_on_a_folder_is_refused_with_one_sentence(shared: Shared, cleared: pytest.MonkeyPatch) -> None:
    cleared.setenv("DATA_DIR", str(shared.data_dir))
    result = CliRunner().invoke(cli, ["serve"])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert f"Another server uses DATA_DIR ({shared.data_dir})" in result.output


async def test_stop_during_startup_leaves_nothing_running(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    command = [sys.executable, "-m", "app", "serve", "--port", "0"]
    process = subprocess.Popen(  # noqa: ASYNC220 - it runs beside this test
        command, cwd=ROOT, env=environment(data_dir), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (data_dir / "postgres.lock").exists():  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.01)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert processes_using(data_dir) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "70000"),
        ("HOST", "203.0.113.1"),
        ("DATA_DIR", "/dev/null"),
        ("DATA_DIR", "/proc/nothing"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgresql://:::"),
        ("DATABASE_URL", "postgresql://ana:hidden@127.0.0.1:1/x"),
        ("REDIS_URL", "nonsense"),
        ("SUPABASE_URL", "https://project.supabase.co"),
        ("SECRET_KEY", "short"),
        ("SIGNUP_MODE", "everybody"),
        ("VECTOR_STORE", "drawer"),
        ("EMBEDDER", "none-such"),
        ("RATE_LIMIT_USER", "0/minute"),
        ("MAX_BODY_BYTES", "1"),
        ("REQUEST_TIMEOUT_SECONDS", "0"),
        ("WORKER", "perhaps"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_unusable_setting_stops_the_start_with_one_sentence(cleared: pytest.MonkeyPatch, name: str, value: str) -> None:
    cleared.setenv(name, value)
    result = CliRunner().invoke(cli, ["serve"])
    sentence = result.output.strip()
    assert result.exit_code == 2, result.output
    assert "\n" not in sentence
    assert sentence.startswith("Error: ")
    assert name in sentence
    assert "hidden" not in sentence


def test_port_in_use_stops_the_start_before_anything_is_created(cleared: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cleared.setenv("PORT", str(taken.getsockname()[1]))
        result = CliRunner().invoke(cli, ["serve"])
    assert result.exit_code == 2
    assert "HOST and PORT" in result.output
    assert not (tmp_path / "data").exists()
