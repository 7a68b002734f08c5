import uuid

import httpx
import pytest

from app.core.database.database import Database
from app.core.errors import NotFound
from app.projects.repository import SettingsRepository
from tests.conftest import SignedUp
from tests.members import add_member


async def names(client: httpx.AsyncClient) -> list[str]:
    return [found["name"] for found in (await client.get("/v1/projects")).json()["results"]]


async def test_new_account_owns_one_project(owner: SignedUp, project: str) -> None:
    [found] = (await owner.client.get("/v1/projects")).json()["results"]
    assert (found["role"], found["id"]) == ("OWNER", str(owner.project_id))
    assert (await owner.client.get(project)).json() == found


async def test_project_is_created_in_the_personal_organization_by_default(owner: SignedUp, organization: str) -> None:
    response = await owner.client.post("/v1/projects", json={"name": " Shop ", "description": "Sells"})
    assert response.status_code == 201
    made = response.json()
    assert (made["name"], made["description"], made["role"]) == ("Shop", "Sells", "OWNER")
    assert organization.endswith(made["organization_id"])
    assert await names(owner.client) == ["Shop", "My project"]


async def test_project_is_created_in_the_requested_organization(owner: SignedUp) -> None:
    made = (await owner.client.post("/v1/organizations", json={"name": "Firm"})).json()
    response = await owner.client.post("/v1/projects", json={"name": "Shop", "organization_id": made["id"]})
    assert response.json()["organization_id"] == made["id"]


async def test_project_creation_requires_an_owner_of_the_organization(
    owner: SignedUp, other: SignedUp, organization: str
) -> None:
    body = {"name": "Mine", "organization_id": organization.rpartition("/")[2]}
    assert (await other.client.post("/v1/projects", json=body)).status_code == 404
    await add_member(owner.client, f"{organization}/members", other, "READER")
    refused = await other.client.post("/v1/projects", json=body)
    assert refused.status_code == 403
    assert "owner" in refused.json()["detail"]


async def test_project_header_selects_the_project(owner: SignedUp) -> None:
    made = (await owner.client.post("/v1/projects", json={"name": "Shop"})).json()
    key = await owner.client.post("/v1/api-keys", json={"name": "Key"}, headers={"X-Project-Id": made["id"]})
    with_key = {"Authorization": f"Token {key.json()['key']}"}
    [found] = (await owner.client.get("/v1/projects", headers=with_key)).json()["results"]
    assert found["id"] == made["id"]


async def test_projects_are_listed_in_pages(owner: SignedUp) -> None:
    for number in range(4):
        await owner.client.post("/v1/projects", json={"name": f"P{number}"})
    seen, cursor = [], ""
    for size in (2, 2, 1):
        page = (await owner.client.get(f"/v1/projects?limit=2{cursor}")).json()
        assert len(page["results"]) == size
        seen += [found["name"] for found in page["results"]]
        cursor = f"&cursor={page['next']}"
    assert page["next"] is None
    assert seen == ["P3", "P2", "P1", "P0", "My project"]


async def test_project_name_and_description_can_be_changed(owner: SignedUp, project: str) -> None:
    before = (await owner.client.get(project)).json()
    after = (await owner.client.patch(project, json={"name": "New", "description": "Sells"})).json()
    assert (after["name"], after["description"]) == ("New", "Sells")
    assert after["updated_at"] > before["updated_at"]
    cleared = (await owner.client.patch(project, json={"name": None, "description": None})).json()
    assert (cleared["name"], cleared["description"]) == ("New", None)
    assert (await owner.client.patch(project, json={})).json() == cleared


@pytest.mark.parametrize("body", [{"name": ""}, {"name": " "}, {"name": "a\x00b"}, {"name": "x" * 201}, {}])
async def test_project_requires_a_valid_name(owner: SignedUp, body: dict[str, str]) -> None:
    assert (await owner.client.post("/v1/projects", json=body)).status_code == 422


async def test_owner_can_change_a_project_while_acting_in_another(
    owner: SignedUp, other: SignedUp, project: str
) -> None:
    """The role in the current project does not limit the rights in other projects."""
    await add_member(owner.client, f"{project}/members", other, "READER")
    here = {"X-Project-Id": str(owner.project_id)}
    own = f"/v1/projects/{other.project_id}"
    assert (await other.client.patch(own, json={"name": "Mine"}, headers=here)).status_code == 200
    assert (await other.client.patch(project, json={"name": "Mine"}, headers=here)).status_code == 403


async def test_project_of_others_is_404(owner: SignedUp, other: SignedUp, project: str) -> None:
    for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
        response = await other.client.request(method, project, json=body)
        assert response.status_code == 404, method
    assert await names(owner.client) == ["My project"]


async def test_reader_can_read_a_project_but_not_change_it(owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other, "READER")
    assert (await other.client.get(project)).json()["role"] == "READER"
    assert (await other.client.patch(project, json={"name": "Mine"})).status_code == 403
    assert (await other.client.delete(project)).status_code == 403


async def test_end_user_sees_only_the_name_of_a_project(owner: SignedUp, other: SignedUp, project: str) -> None:
    await owner.client.patch(project, json={"description": "For us only"})
    await add_member(owner.client, f"{project}/members", other, "USER")
    seen = (await other.client.get(project)).json()
    assert (seen["name"], seen["role"]) == ("My project", "USER")
    assert (seen["description"], seen["organization_id"]) == (None, None)
    assert (await other.client.get(f"{project}/members")).status_code == 403


async def test_end_user_cannot_create_organizations(owner: SignedUp, other: SignedUp, project: str) -> None:
    await add_member(owner.client, f"{project}/members", other, "USER")
    here = {"X-Project-Id": str(owner.project_id)}
    refused = await other.client.post("/v1/organizations", json={"name": "Mine"}, headers=here)
    assert refused.status_code == 403
    assert (await other.client.post("/v1/organizations", json={"name": "Mine"})).status_code == 201


async def test_project_deletion_removes_its_keys(owner: SignedUp) -> None:
    made = (await owner.client.post("/v1/projects", json={"name": "Shop"})).json()
    here = {"X-Project-Id": made["id"]}
    key = (await owner.client.post("/v1/api-keys", json={"name": "Key"}, headers=here)).json()["key"]
    with_key = {"Authorization": f"Token {key}"}
    assert (await owner.client.get("/v1/projects", headers=with_key)).status_code == 200
    assert (await owner.client.delete(f"/v1/projects/{made['id']}")).status_code == 200
    assert (await owner.client.get("/v1/projects", headers=with_key)).status_code == 401
    assert await names(owner.client) == ["My project"]


async def test_account_without_a_project_gets_a_new_one(owner: SignedUp, project: str, organization: str) -> None:
    assert (await owner.client.delete(project)).status_code == 200
    [found] = (await owner.client.get("/v1/projects")).json()["results"]
    assert found["id"] not in project
    assert organization.endswith(found["organization_id"])
    assert len((await owner.client.get("/v1/organizations")).json()["results"]) == 1


async def test_api_key_can_read_and_change_its_own_project_only(
    client: httpx.AsyncClient, owner: SignedUp, project: str
) -> None:
    [own] = (await client.get("/v1/projects")).json()["results"]
    assert own["role"] is None
    assert (await client.patch(f"/v1/projects/{own['id']}", json={"name": "New"})).json()["name"] == "New"
    assert (await client.get(project)).status_code == 404
    assert (await client.patch(project, json={"name": "New"})).status_code == 404


async def test_api_key_cannot_create_or_delete_projects(client: httpx.AsyncClient) -> None:
    [own] = (await client.get("/v1/projects")).json()["results"]
    for response in (
        await client.post("/v1/projects", json={"name": "More"}),
        await client.delete(f"/v1/projects/{own['id']}"),
        await client.get("/v1/organizations"),
    ):
        assert response.status_code == 403
        assert "signed in" in response.json()["detail"]


async def test_settings_are_merged_and_isolated_per_project(database: Database, project_id: uuid.UUID) -> None:
    async with database.transaction(project_id) as tx:
        settings = SettingsRepository(tx, project_id)
        assert await settings.get() == {}
        await settings.change(decay=True, words="Ü")
        assert await settings.change(decay=False) == {"decay": False, "words": "Ü"}
    async with database.transaction(uuid.uuid4()) as tx:
        with pytest.raises(NotFound):
            await SettingsRepository(tx, project_id).get()
    async with database.transaction(project_id, "anna") as tx:
        unchanged = await SettingsRepository(tx, project_id).change(decay=True)
        assert unchanged == {"decay": False, "words": "Ü"}


async def test_default_project_does_not_change(owner: SignedUp) -> None:
    for number in range(8):
        assert (await owner.client.post("/v1/projects", json={"name": f"Later {number}"})).status_code == 201
    assert (await owner.client.get("/v1/ping/")).json()["project_id"] == str(owner.project_id)
