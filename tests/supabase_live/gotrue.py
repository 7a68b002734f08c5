"""A real GoTrue on loopback: found or built, with its own migrations, behind a gateway like Supabase's.

`GOTRUE` names a binary, `GOTRUE_SOURCE` a checkout of github.com/supabase/auth. Without either, the Go module is built.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from fastapi import FastAPI, Request, Response
from jose import jwt

from tests.loopback import free_port, serve_on_loopback

MODULE = "github.com/supabase/auth"
VERSION = "v2.196.0"
JWT_SECRET = "a-shared-secret-of-a-test-that-is-long-enough"
PUBLISHABLE, SECRET = "sb_publishable_live", "sb_secret_live"
STARTED_WITHIN_SECONDS = 30


class GoTrueMissing(Exception):
    """Says what is missing."""


@dataclass(frozen=True)
class GoTrueBinary:
    path: Path
    migrations: Path | None
    """The folder of the migrations, if the binary comes from a checkout."""


def find_gotrue() -> GoTrueBinary:
    if given := os.environ.get("GOTRUE"):
        if not os.access(given, os.X_OK):
            raise GoTrueMissing(f"GOTRUE={given} is no program. Set it to the binary `auth` of {MODULE}.")
        folder = os.environ.get("GOTRUE_SOURCE")
        return GoTrueBinary(Path(given).resolve(), Path(folder) / "migrations" if folder else None)
    go = shutil.which("go")
    if go is None:
        raise GoTrueMissing(
            "Neither GOTRUE nor the program `go` is there. Install Go, or set GOTRUE to a binary `auth`."
        )
    target = Path(tempfile.mkdtemp(prefix="gotrue-"))
    if source := os.environ.get("GOTRUE_SOURCE"):
        _build([go, "build", "-o", str(target / "auth"), "."], Path(source), f"GOTRUE_SOURCE={source}")
        return GoTrueBinary(target / "auth", Path(source) / "migrations")
    source_of_module = _download(go, target)
    _build([go, "build", "-o", str(target / "auth"), "."], source_of_module, f"the module {MODULE}@{VERSION}")
    return GoTrueBinary(target / "auth", source_of_module / "migrations")


def _download(go: str, folder: Path) -> Path:
    command = [go, "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    if "Dir" not in found:
        why = str(found.get("Error") or done.stderr).strip().splitlines()[-1:]
        raise GoTrueMissing(
            f"The Go module {MODULE}@{VERSION} cannot be downloaded ({' '.join(why).strip()})."
            " Set GOTRUE_SOURCE to a checkout, or GOTRUE to a binary."
        )
    return Path(found["Dir"])


def _build(command: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GoTrueMissing(f"GoTrue cannot be built from {what}: {done.stderr.strip()[-300:]}")


@dataclass
class GoTrueSettings:
    database_url: str
    """As `supabase_auth_admin`."""
    issuer: str
    asymmetric: bool
    confirms: bool
    smtp_port: int
    keys: tuple[Mapping[str, object], ...] = ()

    def environment(self, port: int) -> dict[str, str]:
        values = {
            "API_HOST": "127.0.0.1",
            "API_PORT": str(port),
            "DB_DRIVER": "postgres",
            "DB_NAMESPACE": "auth",
            "SITE_URL": "http://app.test",
            "URI_ALLOW_LIST": "http://app.test/**",
            "JWT_SECRET": JWT_SECRET,
            "JWT_ISSUER": self.issuer,
            "JWT_AUD": "authenticated",
            "JWT_ADMIN_ROLES": "service_role",
            "JWT_DEFAULT_GROUP_NAME": "authenticated",
            "PASSWORD_MIN_LENGTH": "8",
            "EXTERNAL_EMAIL_ENABLED": "true",
            "MAILER_AUTOCONFIRM": str(not self.confirms).lower(),
            "EXTERNAL_ANONYMOUS_USERS_ENABLED": str(self.confirms).lower(),
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.smtp_port),
            "SMTP_ADMIN_EMAIL": "keepsake@app.test",
            "SMTP_MAX_FREQUENCY": "1ms",
            "RATE_LIMIT_EMAIL_SENT": "100000",
            "MFA_TOTP_ENROLL_ENABLED": "true",
            "MFA_TOTP_VERIFY_ENABLED": "true",
        }
        if self.asymmetric:
            values["JWT_KEYS"] = json.dumps(list(self.keys))
        named = {f"GOTRUE_{name}": value for name, value in values.items()}
        return {**os.environ, **named, "DATABASE_URL": self.database_url, "API_EXTERNAL_URL": self.issuer}


def with_one_signing_key(keys: Sequence[Mapping[str, object]]) -> tuple[Mapping[str, object], ...]:
    """GoTrue signs with the key whose operations contain `sign`, and accepts only one of these."""
    return tuple({**key, "key_ops": ["sign", "verify"] if key is keys[0] else ["verify"]} for key in keys)


def migrate_gotrue(binary: GoTrueBinary, settings: GoTrueSettings) -> None:
    environment = settings.environment(free_port())
    if binary.migrations:
        environment["GOTRUE_DB_MIGRATIONS_PATH"] = str(binary.migrations)
    done = subprocess.run([binary.path, "migrate"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GoTrueMissing(f"GoTrue's migrations failed: {done.stderr.strip()[-300:]}")


@asynccontextmanager
async def run_gotrue(binary: GoTrueBinary, settings: GoTrueSettings) -> AsyncIterator[str]:
    """The address of GoTrue itself, without the gateway."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(binary.path, "serve", env=settings.environment(port))
    try:
        await _wait_until_healthy(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _wait_until_healthy(url: str, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_SECONDS
    async with httpx.AsyncClient() as http:
        while process.returncode is None and time.monotonic() < deadline:
            try:
                if (await http.get(url)).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    raise GoTrueMissing(f"GoTrue does not respond at {url}. Its log says why.")


@dataclass
class Upstream:
    """Where the gateway finds GoTrue. A server that starts again has another address, and other tokens of roles."""

    url: str
    roles: Mapping[str, str]
    """The token of a role for each API key."""


@asynccontextmanager
async def run_gateway(upstream: Upstream, http: httpx.AsyncClient) -> AsyncIterator[str]:
    """Supabase's gateway: `/auth/v1` is GoTrue's root."""
    gateway = FastAPI()

    @gateway.api_route("/auth/v1/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def forward(path: str, request: Request) -> Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in ("host", "content-length", "connection", "accept-encoding")
        }
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if bearer in upstream.roles:
            headers["authorization"] = f"Bearer {upstream.roles[bearer]}"
        answer = await http.request(
            request.method,
            f"{upstream.url}/{path}",
            params=request.query_params,
            content=await request.body(),
            headers=headers,
        )
        passed = {
            name: value
            for name, value in answer.headers.items()
            if name
            in ("content-type", "x-supabase-api-version", "x-sb-error-code", "x-total-count", "location", "link")
        }
        return Response(answer.content, answer.status_code, passed)

    async with serve_on_loopback(gateway) as url:
        yield url


def role_tokens(settings: GoTrueSettings) -> Mapping[str, str]:
    """What the gateway sends for the API keys."""
    now = int(time.time())
    claims = {"iss": settings.issuer, "aud": "authenticated", "iat": now, "exp": now + 3600}
    key = settings.keys[0] if settings.asymmetric else JWT_SECRET
    algorithm = "ES256" if settings.asymmetric else "HS256"
    headers = {"kid": settings.keys[0]["kid"]} if settings.asymmetric else {}
    return {
        api_key: str(jwt.encode({**claims, "role": role}, key, algorithm, headers=headers))
        for api_key, role in ((PUBLISHABLE, "anon"), (SECRET, "service_role"))
    }
