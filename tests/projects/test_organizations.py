import asyncio
import uuid

import pytest

from tests.conftest import SignedUp, SignUp
from tests.members import add_member


async def test_new_account_owns_a_personal_organization(owner: SignedUp, organization: str) -> None:
    found = (await owner.client.get(organization)).json()
    assert (found["role"], found["personal"]) == ("OWNER", True)
    [member] = (await owner.client.get(f"{organization}/members")).json()["results"]
    assert (member["account_id"], member["email"], member["role"]) == (str(owner.account_id), owner.email, "OWNER")


async def test_organization_can_be_created_renamed_and_deleted_with_its_projects(owner: SignedUp) -> None:
    made = await owner.client.post("/v1/organizations", json={"name": "Firm"})
    assert made.status_code == 201
    assert (made.json()["role"], made.json()["personal"]) == ("OWNER", False)
    path = f"/v1/organizations/{made.json()['id']}"
    project = await owner.client.post("/v1/projects", json={"name": "Shop", "organization_id": made.json()["id"]})
    assert (await owner.client.patch(path, json={"name": "Company"})).json()["name"] == "Company"
    assert (await owner.client.patch(path, json={"name": None})).json()["name"] == "Company"
    assert (await owner.client.delete(path)).status_code == 200
    assert (await owner.client.get(path)).status_code == 404
    assert (await owner.client.get(f"/v1/projects/{project.json()['id']}")).status_code == 404


async def test_organization_members_can_access_its_projects(
    owner: SignedUp, other: SignedUp, organization: str, project: str
) -> None:
    assert (await other.client.get(project)).status_code == 404
    await add_member(owner.client, f"{organization}/members", other)
    assert (await other.client.get(project)).json()["role"] == "READER"
    changed = await owner.client.patch(f"{organization}/members/{other.account_id}", json={"role": "OWNER"})
    assert changed.json()["role"] == "OWNER"
    assert (await other.client.patch(project, json={"name": "Ours"})).status_code == 200
    assert (await owner.client.delete(f"{organization}/members/{other.account_id}")).status_code == 200
    assert (await other.client.get(project)).status_code == 404


async def test_member_cannot_be_invited_again(owner: SignedUp, other: SignedUp, organization: str) -> None:
    await add_member(owner.client, f"{organization}/members", other)
    refused = await owner.client.post(f"{organization}/members", json={"email": other.email.upper()})
    assert (refused.status_code, "already a member" in refused.json()["detail"]) == (409, True)


async def test_reader_can_list_members_but_change_nothing(owner: SignedUp, other: SignedUp, organization: str) -> None:
    await add_member(owner.client, f"{organization}/members", other)
    members = (await other.client.get(f"{organization}/members")).json()["results"]
    assert {member["account_id"] for member in members} == {str(owner.account_id), str(other.account_id)}
    for method, path, body in (
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/members", {"email": other.email}),
        ("PATCH", f"/members/{owner.account_id}", {"role": "READER"}),
        ("DELETE", f"/members/{owner.account_id}", None),
    ):
        response = await other.client.request(method, organization + path, json=body)
        assert response.status_code == 403, (method, path)


async def test_organization_of_others_is_404(owner: SignedUp, other: SignedUp, organization: str) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("POST", "/members", {"email": other.email}),
        ("PATCH", f"/members/{owner.account_id}", {"role": "READER"}),
        ("DELETE", f"/members/{owner.account_id}", None),
        ("DELETE", f"/members/{other.account_id}", None),
    ):
        response = await other.client.request(method, organization + path, json=body)
        assert response.status_code == 404, (method, path)


async def test_account_outside_the_organization_is_not_a_member(
    owner: SignedUp, other: SignedUp, organization: str
) -> None:
    for outsider in (str(other.account_id), uuid.uuid4()):
        path = f"{organization}/members/{outsider}"
        assert (await owner.client.patch(path, json={"role": "READER"})).status_code == 404
        assert (await owner.client.delete(path)).status_code == 404


async def test_last_owner_cannot_leave_or_become_a_reader(owner: SignedUp, other: SignedUp, organization: str) -> None:
    await add_member(owner.client, f"{organization}/members", other)
    me = f"{organization}/members/{owner.account_id}"
    for response in (await owner.client.delete(me), await owner.client.patch(me, json={"role": "READER"})):
        assert response.status_code == 409
        assert "last owner" in response.json()["detail"]
    await owner.client.patch(f"{organization}/members/{other.account_id}", json={"role": "OWNER"})
    assert (await owner.client.delete(me)).status_code == 200
    assert (await owner.client.get(organization)).status_code == 404


async def test_reader_can_leave(owner: SignedUp, other: SignedUp, organization: str) -> None:
    await add_member(owner.client, f"{organization}/members", other)
    assert (await other.client.delete(f"{organization}/members/{other.account_id}")).status_code == 200
    assert (await other.client.get(organization)).status_code == 404


@pytest.mark.parametrize("_again", range(3))
async def test_concurrently_leaving_owners_leave_one_owner(
    owner: SignedUp, other: SignedUp, organization: str, _again: int
) -> None:
    await add_member(owner.client, f"{organization}/members", other, "OWNER")
    left = await asyncio.gather(
        *(someone.client.delete(f"{organization}/members/{someone.account_id}") for someone in (owner, other))
    )
    assert sorted(response.status_code for response in left) == [200, 409]


async def test_members_are_listed_in_pages(owner: SignedUp, organization: str, sign_up: SignUp) -> None:
    added = [await sign_up() for _ in range(3)]
    for member in added:
        await add_member(owner.client, f"{organization}/members", member)
    first = (await owner.client.get(f"{organization}/members?limit=3")).json()
    second = (await owner.client.get(f"{organization}/members?limit=3&cursor={first['next']}")).json()
    assert second["next"] is None
    seen = [member["email"] for member in first["results"] + second["results"]]
    assert seen == [added[2].email, added[1].email, added[0].email, owner.email]
