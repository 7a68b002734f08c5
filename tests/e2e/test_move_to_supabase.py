"""The move from embedded to Supabase with the commands printed in docs/move-to-supabase.md."""

import fcntl
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio
import respx
import typer
from sqlalchemy.ext.asyncio import create_async_engine
from supabase_auth import AsyncGoTrueClient

from app import commands
from app.adapters.accounts.supabase import GoTrueIdentity
from app.adapters.embedded_postgres import EmbeddedPostgres
from app.adapters.in_process import InProcessShortTerm
from app.core.database.database import Database
from app.core.database.migrations import migrate
from app.core.ports.signed_in import SignedIn
from app.identity.local import GRANTS, SHIM
from app.identity.local.app import create_identity_app
from app.identity.local.mail.mailer import LogMailer
from app.identity.local.provider import local_issuer, open_provider
from app.identity.local.security.keys import load_or_create_keys, load_or_create_secret, new_key
from app.identity.local.security.passwords import PasswordHasher
from app.identity.local.settings import IdentitySettings
from app.identity.tokens import InvalidToken, Issuer, StaticKeys, Verifier
from app.projects.provisioning import provision_account
from app.settings import Settings
from tests.identity.local.authenticator import Authenticator, enroll
from tests.identity.local.conftest import ISSUER, PASSWORD, new_email
from tests.rows import Corner, fill
from tests.sql import run_sql
from tests.supabase_project import open_supabase_project

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "move-to-supabase.md").read_text()
SUPABASE = "https://ref.supabase.co/auth/v1"
TABLES = (
    "select tablename from pg_tables where schemaname = 'public'"
    " and tablename not like 'memory\\_vector%'"
    " and tablename not in ('memory_words', 'vector_collections', 'maintenance') order by 1"
)


@dataclass(frozen=True)
class OldHouse:
    """A stopped embedded server with one account."""

    data_dir: Path
    signed_in: SignedIn
    factor_secret: str
    rows: dict[str, list[str]]


def documented(word: str) -> str:
    """The documented command that contains this word."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    return str(found).replace(".venv/bin/python", sys.executable)


def run(word: str, old: OldHouse, target: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TARGET_DATABASE_URL": target, "DATA_DIR": str(old.data_dir)}
    return subprocess.run(
        ["bash", "-euc", documented(word)], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def everything(url: str) -> dict[str, list[str]]:
    """Each row as text, so that ids, times and texts are compared, not only counts."""
    names = [f"public.{row[0]}" for row in run_sql(url, TABLES)]
    columns = (
        "id, email, encrypted_password, raw_user_meta_data, created_at, email_confirmed_at, instance_id, aud, role"
    )
    queries = {name: f"select t::text from {name} t order by 1" for name in names}
    queries["auth.users"] = f"select row({columns})::text from auth.users order by 1"
    factor = "id, user_id, friendly_name, factor_type, status, created_at"
    queries["auth.mfa_factors"] = f"select row({factor})::text from auth.mfa_factors order by 1"
    queries["auth.identities"] = "select row(id, provider_id, user_id, identity_data, email)::text from auth.identities"
    return {name: [str(row[0]) for row in run_sql(url, query)] for name, query in queries.items()}


@pytest_asyncio.fixture(scope="module")
async def old(tmp_path_factory: pytest.TempPathFactory) -> OldHouse:
    return await make_old_house(tmp_path_factory.mktemp("embedded"))


async def make_old_house(data_dir: Path) -> OldHouse:
    async with running(data_dir) as url:
        migrate(url, [SHIM], [GRANTS])
        database = Database(url.replace("//postgres@", "//keepsake_app@"))
        signed_in, factor_secret = await live(database, data_dir)
        await add_a_row_to_every_table(url, signed_in)
        await database.close()
        return OldHouse(data_dir, signed_in, factor_secret, everything(url))


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[str]:
    server = EmbeddedPostgres(data_dir)
    await server.start()
    try:
        yield server.url("postgres")
    finally:
        await server.stop()


async def live(database: Database, data_dir: Path) -> tuple[SignedIn, str]:
    keys = load_or_create_keys(data_dir / "identity")
    settings = IdentitySettings(
        issuer=ISSUER, site_url="http://app.test", secret_key=load_or_create_secret(data_dir / "identity")
    )
    keepsake = open_provider(database, keys, settings, LogMailer(development=False), InProcessShortTerm())
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=create_identity_app(keepsake)))
    identity = GoTrueIdentity("http://identity.local", http, publishable_key="sb_publishable_for_tests")
    signed_in = await identity.sign_up(new_email(), PASSWORD, {"name": "Ana"})
    assert isinstance(signed_in, SignedIn)
    await provision_account(database, signed_in.account.id, signed_in.account.email, shared=False)
    app = await add_second_factor(http, signed_in)
    await http.aclose()
    await keepsake.close()
    return signed_in, app.secret


async def add_second_factor(http: httpx.AsyncClient, signed_in: SignedIn) -> Authenticator:
    client = AsyncGoTrueClient(url="http://identity.local", http_client=http, persist_session=False)
    await client.set_session(signed_in.access_token, signed_in.refresh_token)
    app = await enroll(client)
    await app.confirm(client)
    return app


async def add_a_row_to_every_table(url: str, signed_in: SignedIn) -> None:
    (project,) = run_sql(url, f"select project_id from private.projects_of('{signed_in.account.id}')")[0]
    engine = create_async_engine(url)
    await fill(engine, Corner(uuid.UUID(str(project)), str(signed_in.account.id)))
    await engine.dispose()


@pytest_asyncio.fixture(scope="module")
async def supabase_project(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with open_supabase_project(tmp_path_factory.mktemp("supabase")) as url:
        yield url


@pytest.fixture
def target(supabase_project: str) -> str:
    """A new Supabase project, by the role `postgres`."""
    name = f"project_{uuid.uuid4().hex[:8]}"
    run_sql(supabase_project.replace("/project?", "/postgres?"), f"create database {name} template project")
    return supabase_project.replace("/project?", f"/{name}?").replace("+psycopg", "", 1)


def as_superuser(url: str) -> str:
    """`postgres` does not own what GoTrue created."""
    return url.replace("//postgres@", "//supabase_admin@")


@pytest.fixture
def moved(old: OldHouse, target: str) -> str:
    for word in ("app migrate", "to_supabase.py"):
        done = run(word, old, target)
        assert done.returncode == 0, done.stdout + done.stderr
    return target


@respx.mock
async def test_move_keeps_all_rows_and_accounts(old: OldHouse, moved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert everything(moved) == old.rows
    written = {"auth.users", "auth.identities", "auth.mfa_factors", "public.projects", "public.organizations"}
    written |= {f"public.{table}" for table in Corner(uuid.uuid4(), "anybody").rows()}
    written -= {"public.memory_vectors", "public.memory_words"}
    assert all(old.rows[table] for table in written), "a table without a row proves nothing"
    assert run_sql(moved, "select count(*) from memory_vectors") == [(0,)], "these are made again, not moved"

    account = old.signed_in.account
    (password_hash, instance) = run_sql(
        moved, f"select encrypted_password, instance_id from auth.users where id = '{account.id}'"
    )[0]
    hasher = PasswordHasher()
    assert await hasher.matches(PASSWORD, str(password_hash))
    assert not await hasher.matches("another", str(password_hash))
    hasher.close()
    assert str(instance) == "00000000-0000-0000-0000-000000000000"

    [(factor_secret, required)] = run_sql(
        moved, f"select secret, private.has_second_factor('{account.id}') from auth.mfa_factors"
    )
    assert (factor_secret, required) == (old.factor_secret, True), "GoTrue reads plain secrets"

    # New rows sort after the moved ones, and references are still checked.
    assert run_sql(
        moved, "select max(position) < nextval(pg_get_serial_sequence('messages', 'position')) from messages"
    )[0][0]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        run_sql(moved, f"insert into organization_members values (gen_random_uuid(), '{account.id}', 'OWNER')")

    supabase = Issuer(SUPABASE, StaticKeys([new_key()]))
    ours = local_issuer(load_or_create_keys(old.data_dir / "identity"), ISSUER)
    claims = await Verifier([supabase, ours]).verify(old.signed_in.access_token)
    assert claims.subject == account.id
    resolve = f"select * from private.resolve_account('{claims.subject}', '{claims.session_id}', null)"
    session_live, project, *_ = run_sql(moved, resolve)[0]
    assert session_live
    assert f"{project}" in "".join(old.rows["public.projects"])
    with pytest.raises(InvalidToken):
        await Verifier([supabase]).verify(old.signed_in.access_token)

    await check_the_check_of_the_move(old, moved, capsys)
    assert run_sql(moved, "select count(*) from auth.refresh_tokens") == [(0,)], "front ends sign in again"

    again = run("to_supabase.py", old, moved)
    assert again.returncode == 2
    assert "already holds organizations" in again.stderr
    assert everything(moved) == old.rows


async def check_the_check_of_the_move(old: OldHouse, moved: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command of the last step of the page, before and after the key was imported and FORMER_ISSUER set."""
    own = load_or_create_keys(old.data_dir / "identity").public()
    jwks = respx.get(f"{SUPABASE}/.well-known/jwks.json")
    jwks.mock(side_effect=[httpx.Response(200, json={"keys": keys}) for keys in ([], own, own)])
    settings = Settings(
        _env_file=None,
        data_dir=old.data_dir,
        supabase_url=SUPABASE.removesuffix("/auth/v1"),
        supabase_publishable_key="sb_publishable_x",
        database_url=moved,
    )
    with pytest.raises(typer.Exit):
        await commands.check_move(settings)
    first = lines_of_check(capsys)
    assert [line.partition(":")[0] for line in first] == ["ok", "missing", "missing"], first

    settings = settings.model_copy(update={"former_issuer": ISSUER})
    await commands.check_move(settings)
    assert lines_of_check(capsys) == [
        "ok: 2 accounts, 1 of them with a password",
        f"ok: this server accepts access tokens of {ISSUER}",
        "ok: Supabase lists the signing key of the former server",
    ]

    columns = "id, confirmation_token, encrypted_password"
    kept = f"create table auth.kept as select {columns} from auth.users"
    run_sql(as_superuser(moved), kept)
    run_sql(as_superuser(moved), "update auth.users set confirmation_token = null, encrypted_password = 'md5'")
    with pytest.raises(typer.Exit):
        await commands.check_move(settings)
    problems = [line for line in lines_of_check(capsys) if line.startswith("missing")]
    assert ["bcrypt" in problems[0], "auth.identities" in problems[1], "does not find" in problems[2]] == [True] * 3
    undo = f"update auth.users u set ({columns}) = (select {columns} from auth.kept k where k.id = u.id)"
    run_sql(as_superuser(moved), undo)
    run_sql(as_superuser(moved), "drop table auth.kept")


def lines_of_check(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith(("ok:", "missing:"))]


async def test_move_leaves_gotrues_schema_alone(old: OldHouse, target: str) -> None:
    """The shim would recreate what is missing; in a Supabase project we must not create anything in `auth`."""
    run_sql(as_superuser(target), "drop table auth.audit_log_entries")
    assert run("app migrate", old, target).returncode == 0
    assert run_sql(target, "select to_regclass('auth.audit_log_entries')") == [(None,)]
    policies = "select count(*) from pg_policies where schemaname = 'auth'"
    assert run_sql(target, policies) == [(0,)]


async def test_failed_move_leaves_nothing_behind(old: OldHouse, target: str) -> None:
    assert run("app migrate", old, target).returncode == 0
    taken = (
        f"insert into auth.users (id, email, instance_id) values (gen_random_uuid(), '{old.signed_in.account.email}',"
    )
    run_sql(target, f"{taken} '00000000-0000-0000-0000-000000000000')")
    stopped = run("to_supabase.py", old, target)
    assert stopped.returncode == 2
    assert "users_email_partial_key" in stopped.stderr
    assert run_sql(target, "select count(*) from public.organizations") == [(0,)]
    assert run_sql(target, "select count(*) from auth.users") == [(1,)]


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        ("drop table auth.schema_migrations", "not a Supabase project"),
        ("drop schema supabase_migrations cascade", "no schema yet"),
        ("update supabase_migrations.schema_migrations set version = '1'", "different migrations"),
    ],
)
async def test_move_refuses_an_unprepared_target_with_the_remedy(
    spoil: str, remedy: str, old: OldHouse, target: str
) -> None:
    migrate(target, [SHIM], [GRANTS])
    run_sql(
        as_superuser(target),
        spoil
        if "update" not in spoil
        else f"{spoil} where version = (select max(version) from supabase_migrations.schema_migrations)",
    )
    stopped = run("to_supabase.py", old, target)
    assert stopped.returncode == 2
    assert remedy in stopped.stderr


async def test_move_stops_while_jobs_wait_or_a_server_runs(old: OldHouse, target: str) -> None:
    migrate(target, [SHIM], [GRANTS])
    async with running(old.data_dir) as source:
        add = "insert into procrastinate_jobs (task_name, queue_name, args) values ('t', 'default', '{}')"
        run_sql(source, f"set search_path = jobs; {add}")
        stopped = run("to_supabase.py", old, target)
        run_sql(source, "set search_path = jobs; delete from procrastinate_jobs")
    assert "1 jobs are waiting" in stopped.stderr

    with (old.data_dir / "serve.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stopped = run("to_supabase.py", old, target)
    assert "a server still runs" in stopped.stderr
    assert run_sql(target, "select count(*) from auth.users") == [(0,)]
