import uuid
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.admin.jobs import AUDIT_KEPT_DAYS, delete_old_audit_entries
from app.core.resources import Resources
from tests.conftest import MakeKey, SignedUp, SignUp
from tests.members import add_member

SECRET = "zebra-lullaby"
AUDIT = "/v1/admin/audit"


async def actions(person: SignedUp, **filters: str) -> list[str]:
    return [row["action"] for row in await entries(person, **filters)]


async def entries(person: SignedUp, **filters: str) -> list[dict[str, Any]]:
    response = await person.client.get(AUDIT, params={"limit": "200", **filters})
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()["results"]
    return rows


async def test_new_account_owns_what_its_sign_up_created(owner: SignedUp) -> None:
    account = {"type": "account", "id": str(owner.account_id)}
    assert {row["action"] for row in await entries(owner)} == {
        "organization.created",
        "organization_member.created",
        "project.created",
    }
    assert all(row["actor"] == account for row in await entries(owner))


async def test_life_of_a_key_is_recorded_with_its_actors(owner: SignedUp) -> None:
    created = await owner.client.post("/v1/api-keys", json={"name": SECRET, "scopes": ["keys:write", "keys:read"]})
    key = created.json()
    by_key = {"Authorization": f"Bearer {key['key']}"}
    other = await owner.client.post("/v1/api-keys", json={"name": "second"}, headers=by_key)
    path = f"/v1/api-keys/{key['id']}"
    await owner.client.patch(path, json={"scopes": ["keys:read"]})
    await owner.client.post(f"{path}/rotate", json={})
    await owner.client.delete(path)
    rows = await entries(owner, target_id=key["id"])
    assert [row["action"] for row in rows] == [
        *("api_key.revoked", "api_key.rotated", "api_key.changed", "api_key.created"),
    ]
    assert rows[2]["details"] == {
        "changed": ["scopes"],
        "scopes": ["keys:read"],
        "previous_scopes": ["keys:read", "keys:write"],
    }
    assert other.status_code == 403 or (await entries(owner, actor_id=key["id"]))[0]["actor"] == {
        "type": "key",
        "id": key["id"],
    }


async def test_settings_are_named_and_not_quoted(owner: SignedUp) -> None:
    project = f"/v1/projects/{owner.project_id}"
    changed = await owner.client.patch(project, json={"name": SECRET, "description": SECRET})
    assert changed.status_code == 200, changed.text
    await owner.client.patch("/v1/usage", json={"monthly_token_budget": 5000})
    budget, names = (await entries(owner, action="project.changed"))[:2]
    assert budget["details"] == {"changed": ["settings.monthly_token_budget"]}
    assert names["details"] == {"changed": ["description", "name"]}
    assert SECRET not in (await owner.client.get(AUDIT)).text


async def test_members_and_invitations_are_recorded(owner: SignedUp, sign_up: SignUp) -> None:
    colleague = await sign_up()
    members = f"/v1/projects/{owner.project_id}/members"
    await add_member(owner.client, members, colleague)
    await owner.client.delete(f"{members}/{colleague.account_id}")
    rows = await entries(owner)
    assert [row["action"] for row in rows[:4]] == [
        *("project_member.deleted", "invitation.accepted", "project_member.created", "invitation.created"),
    ] or [row["action"] for row in rows[:4]] == [
        *("project_member.deleted", "project_member.created", "invitation.accepted", "invitation.created"),
    ]
    by = {str(row["action"]): row["actor"] for row in rows}
    assert by["project_member.deleted"] == {"type": "account", "id": str(owner.account_id)}
    assert by["invitation.accepted"] == {"type": "account", "id": str(colleague.account_id)}
    assert colleague.email not in str(rows)


async def test_entries_of_a_deleted_project_remain_for_owners_of_the_organization(owner: SignedUp) -> None:
    project = (await owner.client.post("/v1/projects", json={"name": "Short-lived"})).json()
    there = {"X-Project-Id": project["id"]}
    await owner.client.post("/v1/api-keys", json={"name": "key"}, headers=there)
    assert "api_key.created" not in await actions(owner)
    deleted = await owner.client.delete(f"/v1/projects/{project['id']}")
    assert deleted.status_code in (200, 204), deleted.text
    assert (await actions(owner))[:3] == ["project.deleted", "api_key.created", "project.created"]


async def test_audit_log_of_a_project_is_read_by_its_administrators_only(
    owner: SignedUp, sign_up: SignUp, make_key: MakeKey
) -> None:
    colleague, stranger = await sign_up(), await sign_up()
    await add_member(owner.client, f"/v1/projects/{owner.project_id}/members", colleague, "OWNER")
    there = {"X-Project-Id": str(owner.project_id)}
    seen = (await colleague.client.get(AUDIT, headers=there)).json()["results"]
    assert seen
    assert all(row["project_id"] == str(owner.project_id) for row in seen)
    refused = await stranger.client.get(AUDIT, headers=there)
    assert refused.status_code == 403
    assert (await (await make_key("memories:read")).client.get(AUDIT)).status_code == 403
    admin = await make_key("admin", project=owner.project_id)
    of_key = (await admin.client.get(AUDIT)).json()["results"]
    assert of_key
    assert all(row["project_id"] == str(owner.project_id) for row in of_key)


async def test_erasures_exports_and_retention_runs_are_recorded(owner: SignedUp) -> None:
    account = {"type": "account", "id": str(owner.account_id)}
    assert (await owner.client.post("/v1/export", json={})).status_code == 202
    assert (await owner.client.post("/v1/admin/retention/run", json={})).status_code in (200, 202, 409)
    assert (await owner.client.post("/v1/erase", json={"user_id": SECRET})).status_code == 200
    rows = await entries(owner)
    assert {"erasure.created", "export.created"} <= {row["action"] for row in rows if row["actor"] == account}
    assert SECRET not in str(rows)


async def test_pages_and_times(owner: SignedUp) -> None:
    for name in ("a", "b", "c"):
        await owner.client.post("/v1/api-keys", json={"name": name})
    first = (await owner.client.get(AUDIT, params={"limit": 2})).json()
    second = (await owner.client.get(AUDIT, params={"limit": 2, "cursor": first["next"]})).json()
    whole = await entries(owner)
    assert first["results"] + second["results"] == whole[:4]
    since = str(whole[1]["created_at"])
    assert await entries(owner, since=since) == whole[:2]
    assert await entries(owner, until=since) == whole[2:]


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
async def test_project_cannot_write_its_audit_log(operation: str, resources: Resources, owner: SignedUp) -> None:
    statement = {
        "insert": "insert into audit_log (organization_id, action, target_id) values (:id, 'x', :id)",
        "update": "update audit_log set action = 'x' where project_id = :id",
        "delete": "delete from audit_log where project_id = :id",
    }[operation]
    with pytest.raises(Exception, match="permission denied"):
        async with resources.database.transaction(owner.project_id) as tx:
            await tx.execute(text(statement), {"id": owner.project_id})


async def test_old_entries_are_deleted(owner: SignedUp, resources: Resources, admin_engine: AsyncEngine) -> None:
    key = (await owner.client.post("/v1/api-keys", json={"name": "old"})).json()
    async with admin_engine.begin() as connection:
        await connection.execute(
            text("update public.audit_log set created_at = now() - make_interval(days => :days) where target_id = :id"),
            {"days": AUDIT_KEPT_DAYS + 1, "id": uuid.UUID(key["id"])},
        )
    before = await actions(owner)
    await delete_old_audit_entries(resources.database)
    assert await actions(owner) == [action for action in before if action != "api_key.created"]
