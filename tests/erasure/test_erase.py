"""An erasure removes everything of its subject and nothing of anybody else, and its receipt says so."""

import asyncio
import re
import uuid
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.in_process import InProcessShortTerm
from app.core.resources import Resources
from app.erasure.erase import begin_erasure
from app.erasure.erase import erase as begin_and_wait
from app.erasure.jobs import complete_erasure
from app.erasure.models import SubjectKind
from app.erasure.repository import ErasureRepository
from app.erasure.run import run_erasure
from app.erasure.subject import Subject
from app.identity.caller import Caller
from app.identity.scopes import EVERYTHING
from tests.chat.conversation import AdminRows
from tests.conftest import MakeKey, SignedUp, SignUp
from tests.erasure.planting import Planted
from tests.members import add_member

Json = dict[str, object]
LOCK_SESSION_SQL = text("select 1 from sessions where id = :id for update")
MEMORY_IS_GONE_SQL = "select not exists (select from memories where id = :id)"
ERASURE_IS_FINISHED_SQL = "select state = 'finished' from erasures where id = :id"
SELECT_ERASURE_SQL = "select to_jsonb(e)::text from erasures e where id = :id"


async def erase(client: httpx.AsyncClient, **subject: str) -> dict[str, dict[str, int]]:
    response = await client.post("/v1/erase", json=subject)
    assert response.status_code == 200, response.text
    receipt: dict[str, dict[str, int]] = response.json()["receipt"]
    assert set(receipt["left"].values()) == {0}
    assert receipt["removed"] == receipt["found"]
    return receipt


async def test_user_erasure_leaves_none_of_fifty_strings_and_all_of_another_user(
    client: httpx.AsyncClient, resources: Resources, admin_engine: AsyncEngine, erased: Planted, spared: Planted
) -> None:
    assert len(erased.markers) > 50
    assert await erased.find(admin_engine, resources) == erased.markers
    receipt = await erase(client, user_id=erased.user_id)
    assert await erased.find(admin_engine, resources) == set()
    assert await spared.find(admin_engine, resources) == spared.markers
    found = {store for store, count in receipt["found"].items() if count}
    assert found == {
        *("memories", "memory_history", "events", "feedback", "entities", "memory_exports", "user_profiles"),
        *("user_profile_jobs", "profiles", "sessions", "messages", "turns", "webhook_deliveries", "short_term_memory"),
        *("data_exports", "data_export_chunks"),
    }


async def test_receipt_is_kept_without_content(
    client: httpx.AsyncClient, resources: Resources, admin_rows: AdminRows, erased: Planted
) -> None:
    receipt = await erase(client, user_id=erased.user_id)
    assert (await client.get(f"/v1/erase/{receipt['id']}")).json()["receipt"] == receipt
    await complete_erasure(resources, erased.project_id, uuid.UUID(str(receipt["id"])))
    settled = (await client.get(f"/v1/erase/{receipt['id']}")).json()["receipt"]
    assert None not in (settled["settled_at"], settled["vacuumed_at"])
    assert settled["found"] == receipt["found"]
    row = await admin_rows.select_value(SELECT_ERASURE_SQL, id=receipt["id"])
    assert not re.search(f"{erased.prefix}|{erased.corner.memory_id}", row)


@pytest.mark.parametrize(
    "body", [{}, {"user_id": "a", "memory_id": str(uuid.UUID(int=1))}, {"user_id": None}, {"user": "a"}], ids=str
)
async def test_erasure_of_none_or_several_subjects_is_refused(client: httpx.AsyncClient, body: Json) -> None:
    response = await client.post("/v1/erase", json=body)
    assert response.status_code == 422
    assert "exactly one of" in response.json()["detail"] or "Unknown field" in response.json()["detail"]


async def test_profile_erasure_removes_the_last_profile_and_spares_the_others(
    client: httpx.AsyncClient, resources: Resources, admin_engine: AsyncEngine, erased: Planted
) -> None:
    other = (await client.post("/v1/profiles", json={"user_id": erased.user_id, "name": "Other"})).json()
    kept = {"messages": "I live in Rome", "infer": False, "user_id": erased.user_id, "profile_id": other["id"]}
    assert (await client.post("/v3/memories/add/", json=kept)).status_code == 200
    await erase(client, profile_id=str(erased.corner.profile_id))
    listed = await client.post("/v3/memories/", json={"filters": {"user_id": erased.user_id}, "profile_id": "*"})
    assert [each["memory"] for each in listed.json()["results"]] == ["I live in Rome"]
    assert await erased.find(admin_engine, resources) == erased.markers_of(
        "entities", "memory_exports", "portrait_jobs"
    )
    await erase(client, profile_id=other["id"])
    profiles = (await client.get("/v1/profiles", params={"user_id": erased.user_id})).json()["results"]
    assert [profile["name"] for profile in profiles] == ["Default"]


async def test_session_erasure_takes_along_what_was_remembered_of_it(
    client: httpx.AsyncClient, resources: Resources, admin_engine: AsyncEngine, erased: Planted
) -> None:
    receipt = await erase(client, session_id=str(erased.corner.session_id))
    found = {store for store, count in receipt["found"].items() if count}
    assert found >= {
        "memories",
        "memory_history",
        "messages",
        "turns",
        "sessions",
        "short_term_memory",
        "user_profiles",
    }
    left = erased.markers_of("entities", "memory_exports", "portrait_jobs", "profiles")
    assert await erased.find(admin_engine, resources) == left | erased.message_markers


async def test_memory_erasure_removes_its_history(
    client: httpx.AsyncClient, admin_engine: AsyncEngine, erased: Planted
) -> None:
    receipt = await erase(client, memory_id=str(erased.corner.memory_id))
    assert {store for store, count in receipt["found"].items() if count} == {
        *("memories", "memory_history", "feedback", "user_profiles", "webhook_deliveries"),
        *("data_exports", "data_export_chunks"),
    }
    again = await client.post("/v1/erase", json={"memory_id": str(erased.corner.memory_id)})
    assert again.status_code == 404


async def test_entity_deletion_of_mem0_erases_the_user(
    client: httpx.AsyncClient, resources: Resources, admin_engine: AsyncEngine, erased: Planted, spared: Planted
) -> None:
    response = await client.delete(f"/v2/entities/user/{erased.user_id}/")
    assert response.status_code == 200
    event = (await client.get(f"/v1/event/{response.json()['event_id']}/")).json()
    assert (event["status"], event["payload"]["deleted"]) == ("SUCCEEDED", 2)
    assert await erased.find(admin_engine, resources) == set()
    assert await spared.find(admin_engine, resources) == spared.markers


async def test_entity_deletion_erases_an_agent_in_every_profile(
    client: httpx.AsyncClient, admin_engine: AsyncEngine, resources: Resources, erased: Planted
) -> None:
    for user in ("carl", "dora"):
        body = {"messages": f"{user} likes tea", "infer": False, "user_id": user, "agent_id": "poet-Ü"}
        assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
    assert (await client.delete("/v2/entities/agent/poet-Ü/")).status_code == 200
    assert await AdminRows(admin_engine).tables_containing("poet-Ü") == []
    assert (await client.get("/v2/entities/user/carl/")).status_code == 404
    assert await erased.find(admin_engine, resources) == erased.markers


async def test_erasure_goes_on_where_a_crash_interrupted_it(
    resources: Resources, admin_engine: AsyncEngine, admin_rows: AdminRows, erased: Planted, spared: Planted
) -> None:
    """The memories are gone and the sessions are locked by somebody else when the process dies."""
    caller = Caller(project_id=erased.project_id, organization_id=uuid.uuid4(), scopes=EVERYTHING)
    erasure_id = await begin_erasure(resources, caller, Subject(SubjectKind.USER, erased.user_id))
    async with admin_engine.connect() as other:
        await other.execute(LOCK_SESSION_SQL, {"id": erased.corner.session_id})
        dying = asyncio.create_task(run_erasure(resources, erased.project_id, erasure_id))
        await admin_rows.wait_until_true(MEMORY_IS_GONE_SQL, id=erased.corner.memory_id)
        assert not await run_erasure(resources, erased.project_id, erasure_id), "one process at a time"
        dying.cancel()
        await asyncio.wait([dying])
    assert await erased.find(admin_engine, resources) >= erased.places["sessions"]
    await complete_erasure(resources, erased.project_id, erasure_id)
    async with resources.database.transaction(erased.project_id) as tx:
        erasure = await ErasureRepository(tx, erased.project_id).get(erasure_id)
    assert (erasure.state, set(erasure.remaining.values())) == ("finished", {0})
    assert erasure.removed["memories"] == erasure.found["memories"] == 2
    assert {store: erasure.removed.get(store, 0) for store in erasure.found} == erasure.found
    assert await erased.find(admin_engine, resources) == set()
    assert await spared.find(admin_engine, resources) == spared.markers


class DisconnectingShortTerm(InProcessShortTerm):
    """The connection is lost once it has deleted something."""

    async def delete(self, *keys: str) -> int:
        if await super().delete(*keys):
            raise ConnectionError
        return 0


async def test_receipt_counts_what_was_removed_just_before_a_crash(
    resources: Resources, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    """The window is deleted, and nothing has counted it."""
    resources = replace(resources, short_term=DisconnectingShortTerm())
    erased = Planted(project_id)
    await erased.plant(admin_engine, resources)
    caller = Caller(project_id=project_id, organization_id=uuid.uuid4(), scopes=EVERYTHING)
    erasure_id = await begin_erasure(resources, caller, Subject(SubjectKind.USER, erased.user_id))
    with pytest.raises(ConnectionError):
        await run_erasure(resources, project_id, erasure_id)
    await complete_erasure(resources, project_id, erasure_id)
    async with resources.database.transaction(project_id) as tx:
        erasure = await ErasureRepository(tx, project_id).get(erasure_id)
    assert erasure.found["short_term_memory"] == 1
    assert {store: erasure.removed.get(store, 0) for store in erasure.found} == erasure.found
    assert set(erasure.remaining.values()) == {0}
    assert await erased.find(admin_engine, resources) == set()


async def test_request_does_not_wait_for_a_long_erasure(
    resources: Resources, admin_engine: AsyncEngine, admin_rows: AdminRows, erased: Planted
) -> None:
    caller = Caller(project_id=erased.project_id, organization_id=uuid.uuid4(), scopes=EVERYTHING)
    async with admin_engine.connect() as other:
        await other.execute(LOCK_SESSION_SQL, {"id": erased.corner.session_id})
        erasure = await begin_and_wait(resources, caller, Subject(SubjectKind.USER, erased.user_id), wait=0.1)
        assert erasure.state == "running"
    await admin_rows.wait_until_true(ERASURE_IS_FINISHED_SQL, id=erasure.id)
    assert await erased.find(admin_engine, resources) == set()


async def test_another_users_data_cannot_be_erased(sign_up: SignUp) -> None:
    owner, member, other = await sign_up(), await sign_up(), await sign_up()
    members, there = f"/v1/projects/{owner.project_id}/members", {"X-Project-Id": str(owner.project_id)}
    for person in (member, other):
        await add_member(owner.client, members, person, "USER")
        await remember(person, there)
    [memory] = await memories_of(owner, other)
    for subject, status in (
        ({"user_id": str(other.account_id)}, 403),
        ({"account": str(other.account_id)}, 403),
        ({"memory_id": memory["id"]}, 404),
        ({"profile_id": memory["profile_id"]}, 404),
    ):
        assert (await member.client.post("/v1/erase", json=subject, headers=there)).status_code == status
    own = await member.client.post("/v1/erase", json={"user_id": str(member.account_id)}, headers=there)
    receipt = own.json()["receipt"]
    assert receipt["removed"]["memories"] == 1
    path = f"/v1/erase/{receipt['id']}"
    assert (await member.client.get(path, headers=there)).status_code == 200
    assert (await other.client.get(path, headers=there)).status_code == 404
    assert len(await memories_of(owner, other)) == 1


async def test_admin_erases_what_the_project_holds_of_an_account_and_not_the_account(
    sign_up: SignUp, make_key: MakeKey
) -> None:
    owner, member = await sign_up(), await sign_up()
    await add_member(owner.client, f"/v1/projects/{owner.project_id}/members", member, "USER")
    await remember(member, {"X-Project-Id": str(owner.project_id)})
    await remember(member)
    unprivileged = await make_key("memories:write", project=owner.project_id)
    account = {"account": str(member.account_id)}
    assert (await unprivileged.client.post("/v1/erase", json=account)).status_code == 403
    receipt = await erase(owner.client, **account)
    assert receipt["found"]["memories"] == 1
    assert "accounts" not in receipt["found"]
    assert await memories_of(owner, member) == []
    assert len(await memories_of(member, member)) == 1


async def test_person_erases_the_own_account_everywhere(
    sign_up: SignUp, resources: Resources, admin_rows: AdminRows
) -> None:
    owner, member = await sign_up(), await sign_up()
    await add_member(owner.client, f"/v1/projects/{owner.project_id}/members", member, "USER")
    await remember(member, {"X-Project-Id": str(owner.project_id)})
    key = await member.client.post("/v1/api-keys", json={"name": "Spürname"})
    assert key.status_code == 201
    receipt = await erase(member.client, account=str(member.account_id))
    assert receipt["found"]["accounts"] == 1
    assert (await member.client.get("/v1/auth/me")).status_code == 401
    for trace in (member.email, "Spürname"):
        assert await admin_rows.tables_containing(trace) == [], trace
    # Who did what in the projects of others stays on record, by the id alone.
    assert await admin_rows.tables_containing(str(member.account_id)) == ["public.audit_log"]
    await complete_erasure(resources, member.project_id, uuid.UUID(str(receipt["id"])))


async def test_legal_hold_refuses_every_erasure_of_its_user(
    client: httpx.AsyncClient, resources: Resources, admin_engine: AsyncEngine, erased: Planted
) -> None:
    hold = f"/v1/admin/holds/{erased.user_id}"
    assert (await client.put(hold, json={"reason": "Lawsuit"})).status_code == 200
    corner = erased.corner
    for subject in (
        {"user_id": erased.user_id},
        {"profile_id": str(corner.profile_id)},
        {"session_id": str(corner.session_id)},
        {"memory_id": str(corner.memory_id)},
    ):
        refused = await client.post("/v1/erase", json=subject)
        assert (refused.status_code, "`DELETE /v1/admin/holds/" in refused.json()["detail"]) == (409, True), subject
    assert (await client.delete(f"/v2/entities/user/{erased.user_id}/")).status_code == 409
    assert await erased.find(admin_engine, resources) == erased.markers
    assert (await client.delete(hold)).status_code == 200
    await erase(client, user_id=erased.user_id)


async def test_legal_hold_refuses_the_deletion_of_an_account(sign_up: SignUp) -> None:
    owner, member = await sign_up(), await sign_up()
    await add_member(owner.client, f"/v1/projects/{owner.project_id}/members", member, "USER")
    hold = f"/v1/admin/holds/{member.account_id}"
    assert (await owner.client.put(hold, json={})).status_code == 200
    deletions = (
        ("DELETE", "/v1/auth/me", None),
        ("POST", "/v1/erase", {"account": str(member.account_id)}),
    )
    for method, path, body in deletions:
        assert (await member.client.request(method, path, json=body)).status_code == 409
    assert (await member.client.get("/v1/auth/me")).status_code == 200


async def test_account_whose_organization_needs_it_is_not_erased(sign_up: SignUp) -> None:
    owner, member = await sign_up(), await sign_up()
    organization = (await owner.client.get("/v1/organizations")).json()["results"][0]["id"]
    await add_member(owner.client, f"/v1/organizations/{organization}/members", member)
    await remember(owner)
    response = await owner.client.post("/v1/erase", json={"account": str(owner.account_id)})
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert len(await memories_of(owner, owner)) == 1


async def remember(person: SignedUp, headers: dict[str, str] | None = None) -> None:
    body = {"messages": "I live in Rome", "infer": False}
    response = await person.client.post("/v3/memories/add/", json=body, headers=headers)
    assert response.status_code == 200, response.text


async def memories_of(reader: SignedUp, person: SignedUp) -> list[Json]:
    body = {"filters": {"user_id": str(person.account_id)}}
    found: list[Json] = (await reader.client.post("/v3/memories/", json=body)).json()["results"]
    return found
