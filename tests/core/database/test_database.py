import asyncio
import contextlib
import dataclasses
import json
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.api_keys.lookup import StoredKeys
from app.core.database.database import Database
from app.core.jobs import defer, tasks
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import MakeKey, SignUp, open_client
from tests.patience import PATIENCE_SECONDS

COUNT = text("select count(*) from projects where id = :id")


async def test_project_sees_only_its_own_rows(database: Database, project_id: uuid.UUID) -> None:
    async with database.transaction(project_id) as tx:
        assert await tx.scalar(COUNT, {"id": project_id}) == 1
    async with database.transaction(uuid.uuid4()) as tx:
        assert await tx.scalar(COUNT, {"id": project_id}) == 0


async def test_statement_without_a_scope_fails(database: Database, project_id: uuid.UUID) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        await database.call_private("select count(*) from projects", {})


async def test_role_ends_with_the_transaction(database: Database, project_id: uuid.UUID) -> None:
    async with database.transaction(project_id) as tx:
        assert await tx.scalar(text("select current_user")) == "authenticated"
    row = await database.call_private("select current_user, current_setting('request.jwt.claims', true)", {})
    assert row is not None
    assert row[0] == "keepsake_app"
    assert not row[1]


async def test_many_callers_share_few_connections(postgres: EmbeddedPostgres, project_id: uuid.UUID) -> None:
    """Like a request: resolve the caller, then open a transaction, with one connection at a time."""
    database = Database(postgres.url("keepsake_app"), pool_size=5, pool_timeout=20)
    most = 0

    async def request(project: uuid.UUID) -> int:
        nonlocal most
        await database.call_private("select 1", {})
        async with database.transaction(project) as tx:
            most = max(most, database.pool_state()[1])
            found: int | None = await tx.scalar(COUNT, {"id": project})
            await tx.execute(text("select pg_sleep(0.001)"))
        return found or 0

    async with asyncio.timeout(PATIENCE_SECONDS):
        projects = [project_id, uuid.uuid4(), uuid.uuid4(), uuid.uuid4()]
        answers = await asyncio.gather(*(request(project) for _ in range(32) for project in projects))
    assert answers == [1, 0, 0, 0] * 32
    assert 3 <= most <= 5
    assert database.pool_state() == (5, 0), "every connection went back"
    await database.close()


async def test_many_requests_over_http_share_few_connections(
    resources: Resources, postgres: EmbeddedPostgres, make_key: MakeKey
) -> None:
    holder = await make_key()
    database = Database(postgres.url("keepsake_app"), pool_size=5, pool_timeout=20)
    keys = StoredKeys(database, resources.key_pepper)
    app = create_app(dataclasses.replace(resources, database=database, keys=keys))
    async with open_client(app, holder.key) as client, asyncio.timeout(PATIENCE_SECONDS):
        body = {"user_id": "ana"}
        made = [client.post("/v1/profiles", json={**body, "name": str(n)}) for n in range(32)]
        read = [client.get("/v1/profiles", params=body) for _ in range(32)]
        answers = await asyncio.gather(*made, *read)
    assert {answer.status_code for answer in answers} == {200, 201}
    await database.close()


async def test_exhausted_pool_is_reported_after_a_timeout(
    resources: Resources, postgres: EmbeddedPostgres, make_key: MakeKey, project_id: uuid.UUID
) -> None:
    holder = await make_key()
    database = Database(postgres.url("keepsake_app"), pool_size=1, pool_timeout=0.05)
    app = create_app(dataclasses.replace(resources, database=database))
    async with open_client(app, holder.key) as client:
        async with database.transaction(project_id):
            busy = await client.get("/v1/projects")
        assert busy.status_code == 503
        assert busy.headers["Retry-After"] == "1"
        assert (await client.get("/v1/projects")).status_code == 200
    await database.close()


async def test_project_that_occupies_its_connections_leaves_some_for_others(
    resources: Resources, postgres: EmbeddedPostgres, make_key: MakeKey, sign_up: SignUp
) -> None:
    greedy, neighbour = await make_key(), await sign_up()
    database = Database(postgres.url("keepsake_app"), pool_size=4, pool_timeout=0.2)
    app = create_app(dataclasses.replace(resources, database=database))
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(database.transaction(greedy.project_id))
        greedy_client = await stack.enter_async_context(open_client(app, greedy.key))
        client = await stack.enter_async_context(open_client(app, neighbour.tokens["access_token"]))
        refused = await greedy_client.get("/v1/profiles", params={"user_id": "ana"})
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "its share" in refused.json()["detail"]
        assert refused.headers["Retry-After"] == "1"
        assert (await client.get("/v1/profiles")).status_code == 200
    await database.close()


async def test_costly_statements_of_one_project_run_one_at_a_time(database: Database, project_id: uuid.UUID) -> None:
    async with database.costly_turn(project_id):
        second = asyncio.ensure_future(enter(database.costly_turn(project_id)))
        await asyncio.sleep(0.01)
        await enter(database.costly_turn(uuid.uuid4()))
        assert not second.done()
    await second


async def enter(turn: contextlib.AbstractAsyncContextManager[None]) -> None:
    async with turn:
        pass


WHO = text("select current_user, current_setting('request.jwt.claims', true), pg_backend_pid()")


async def test_connection_keeps_no_state_of_a_caller(postgres: EmbeddedPostgres, project_id: uuid.UUID) -> None:
    database = Database(postgres.url("keepsake_app"), pool_size=1)
    async with database.transaction(project_id, "ana", uuid.uuid4()) as tx:
        role, claims, connection = (await tx.execute(WHO)).one()
        assert (role, json.loads(claims)["keepsake"]["user_id"]) == ("authenticated", "ana")
    with pytest.raises(RuntimeError, match="halfway"):
        await fail_halfway(database, project_id, "x")
    other = uuid.uuid4()
    async with database.transaction(other) as tx:
        role, claims, same = (await tx.execute(WHO)).one()
        assert json.loads(claims)["keepsake"] == {"project_id": str(other), "user_id": None}
        assert json.loads(claims)["sub"] is None
    async with database.system() as tx:
        role, claims, _ = (await tx.execute(WHO)).one()
        assert (role, json.loads(claims)) == ("keepsake_system", {"role": "keepsake_system"})
    bare = await database.call_private(str(WHO), {})
    assert bare is not None
    assert (bare[0], bare[1] or "") == ("keepsake_app", "")
    assert connection == same == bare[2], "all on one connection, or this shows nothing"
    await database.close()


RENAME = text("update projects set name = 'Other' where id = :id")
NAME = text("select name from projects where id = :id")
JOBS = text("select count(*) from jobs.procrastinate_jobs where args->>'mark' = :mark")
nothing_to_do = tasks.task(name="tests.nothing")(lambda mark: None)


async def fail_halfway(database: Database, project_id: uuid.UUID, mark: str) -> None:
    async with database.transaction(project_id) as tx:
        await tx.execute(RENAME, {"id": project_id})
        await defer(tx, nothing_to_do, mark=mark)
        raise RuntimeError("halfway")


async def test_job_exists_if_and_only_if_its_rows_do(database: Database, project_id: uuid.UUID) -> None:
    lost, kept = str(uuid.uuid4()), str(uuid.uuid4())
    with pytest.raises(RuntimeError, match="halfway"):
        await fail_halfway(database, project_id, lost)
    async with database.system() as tx:
        assert await tx.scalar(JOBS, {"mark": lost}) == 0
        assert await tx.scalar(NAME, {"id": project_id}) == "Test"

    async with database.transaction(project_id) as tx:
        await tx.execute(RENAME, {"id": project_id})
        await defer(tx, nothing_to_do, mark=kept)
        async with database.system() as other:
            assert await other.scalar(JOBS, {"mark": kept}) == 0, "the job must not run before the commit"
    async with database.system() as tx:
        assert await tx.scalar(JOBS, {"mark": kept}) == 1
        assert await tx.scalar(NAME, {"id": project_id}) == "Other"
        await tx.execute(text("delete from jobs.procrastinate_jobs where args->>'mark' = :mark"), {"mark": kept})


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("memories", "content"), ("memories", "metadata"), ("memories", "*"), ("messages", "content")),
        ("memory_history", "old_memory"),
        ("events", "messages"),
        ("api_keys", "secret_hash"),
        ("profiles", "persona"),
    ],
)
async def test_system_transaction_sees_no_content(database: Database, table: str, column: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|does not exist") as refused:
        async with database.system() as tx:
            await tx.execute(text(f"select {column} from {table} limit 1"))
    assert "does not exist" not in str(refused.value), "or the name of the column is wrong and this shows nothing"
