import uuid

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import SignedUp, open_client
from tests.members import add_member, invite


async def members(client: httpx.AsyncClient, project: str) -> dict[str, tuple[str, bool]]:
    found = (await client.get(f"{project}/members")).json()["results"]
    return {member["account_id"]: (member["role"], member["inherited"]) for member in found}


async def test_organization_members_are_listed_as_inherited(owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other, "USER")
    assert await members(owner.client, project) == {
        str(owner.account_id): ("OWNER", True),
        str(other.account_id): ("USER", False),
    }


async def test_strongest_role_applies(owner: SignedUp, other: SignedUp, project: str, organization: str) -> None:
    await add_member(owner.client, f"{project}/members", other, "USER")
    await add_member(owner.client, f"{organization}/members", other, "READER")
    assert (await members(owner.client, project))[str(other.account_id)] == ("READER", False)
    assert (await other.client.get(project)).json()["role"] == "READER"


@pytest.mark.parametrize("route", ["organization", "project", "mem0's organization", "mem0's project"])
async def test_invited_member_has_an_own_project_first(
    route: str, owner: SignedUp, organization: str, project: str, anonymous: httpx.AsyncClient, app: FastAPI
) -> None:
    body = {"email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse"}
    token = (await anonymous.post("/v1/auth/signup", json=body)).json()["access_token"]
    theirs = f"/api/v1/orgs/organizations/{organization.rpartition('/')[2]}/"
    where = {"organization": organization, "project": project, "mem0's organization": theirs.rstrip("/")}
    slash = "/" if route.startswith("mem0") else ""
    path = where.get(route, f"{theirs}projects/{owner.project_id}") + f"/members{slash}"
    invitation, secret = await invite(owner.client, path, body["email"])
    async with open_client(app, token) as newcomer:
        answer = await newcomer.post(f"/v1/invitations/{invitation}/accept", json={"token": secret})
        assert answer.status_code == 200, answer.text
        first = (await newcomer.get("/v1/ping/")).json()["project_id"]
        assert first != str(owner.project_id)
        assert len((await newcomer.get("/v1/projects")).json()["results"]) == 2


@pytest.mark.parametrize("role", ["OWNER", "READER", "USER"])
async def test_role_change_acts_immediately(role: str, owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other, "READER")
    changed = await owner.client.patch(f"{project}/members/{other.account_id}", json={"role": role})
    assert changed.json()["role"] == role
    assert (await other.client.get(project)).json()["role"] == role
    renamed = await other.client.patch(project, json={"name": "Mine"})
    assert renamed.status_code == (200 if role == "OWNER" else 403)


async def test_member_removal_acts_immediately(owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other)
    here = {"X-Project-Id": str(owner.project_id)}
    assert (await other.client.get("/v1/projects", headers=here)).status_code == 200
    assert (await owner.client.delete(f"{project}/members/{other.account_id}")).status_code == 200
    assert (await other.client.get("/v1/projects", headers=here)).status_code == 403
    assert (await other.client.get(project)).status_code == 404


@pytest.mark.parametrize("role", ["OWNER", "READER", "USER"])
async def test_project_member_can_leave(role: str, owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other, role)
    assert (await other.client.delete(f"{project}/members/{other.account_id}")).status_code == 200
    assert (await other.client.get(project)).status_code == 404


async def test_inherited_membership_can_only_be_changed_in_the_organization(owner: SignedUp, project: str) -> None:
    me = f"{project}/members/{owner.account_id}"
    for response in (await owner.client.delete(me), await owner.client.patch(me, json={"role": "READER"})):
        assert response.status_code == 409
        assert "organization" in response.json()["detail"]


async def test_project_member_cannot_be_invited_again(owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other)
    refused = await owner.client.post(f"{project}/members", json={"email": other.email})
    assert (refused.status_code, "already a member" in refused.json()["detail"]) == (409, True)


async def test_readers_and_end_users_cannot_change_members(owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other, "READER")
    assert set(await members(other.client, project)) == {str(owner.account_id), str(other.account_id)}
    for role in ("READER", "USER"):
        await owner.client.patch(f"{project}/members/{other.account_id}", json={"role": role})
        for method, path, body in (
            ("POST", "/members", {"email": owner.email}),
            ("PATCH", f"/members/{other.account_id}", {"role": "OWNER"}),
            ("DELETE", f"/members/{owner.account_id}", None),
        ):
            response = await other.client.request(method, project + path, json=body)
            assert response.status_code == 403, (role, method)


async def test_members_of_other_projects_are_404(owner: SignedUp, other: SignedUp, project: str) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"email": other.email}),
        ("PATCH", f"/{owner.account_id}", {"role": "READER"}),
        ("DELETE", f"/{owner.account_id}", None),
        ("DELETE", f"/{other.account_id}", None),
    ):
        response = await other.client.request(method, f"{project}/members{path}", json=body)
        assert response.status_code == 404, (method, path)


async def test_key_with_all_scopes_can_manage_members(client: httpx.AsyncClient, other: SignedUp) -> None:
    [own] = (await client.get("/v1/projects")).json()["results"]
    project = f"/v1/projects/{own['id']}"
    await add_member(client, f"{project}/members", other, "USER")
    assert (await members(client, project))[str(other.account_id)] == ("USER", False)
    assert (await client.delete(f"{project}/members/{other.account_id}")).status_code == 200


async def test_key_that_can_change_projects_cannot_add_owners(owner: SignedUp, other: SignedUp, project: str) -> None:
    """An owner can create keys with all scopes, so only admin keys may add owners."""
    scopes = ["projects:read", "projects:write"]
    key = (await owner.client.post("/v1/api-keys", json={"name": "Key", "scopes": scopes})).json()["key"]
    refused = await owner.client.post(
        f"{project}/members",
        json={"email": other.email, "role": "OWNER"},
        headers={"Authorization": f"Token {key}"},
    )
    assert refused.status_code == 403
    assert "admin" in refused.json()["detail"]
