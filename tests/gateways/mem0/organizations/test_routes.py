"""Organizations, projects and members in mem0's format: over HTTP, and with mem0's own client."""

import asyncio
import uuid
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from mem0 import MemoryClient
from mem0.exceptions import AuthenticationError, MemoryNotFoundError, ValidationError

from app.identity.scopes import EVERYTHING
from tests.conftest import MakeKey, SignedUp, SignUp, open_client
from tests.gateways.mem0.conftest import Connect
from tests.members import accept, add_member, invite

ORGS = "/api/v1/orgs/organizations/"


@pytest_asyncio.fixture
async def project(owner: SignedUp) -> str:
    """The path of the owner's project."""
    [organization] = (await owner.client.get(ORGS)).json()
    return f"{ORGS}{organization['org_id']}/projects/{owner.project_id}/"


async def settings(client: httpx.AsyncClient, project: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(project)).json()
    return found


async def test_client_reads_and_changes_the_settings_of_its_project(mem0_client: MemoryClient) -> None:
    before = await asyncio.to_thread(mem0_client.project.get)
    assert (before["custom_instructions"], before["custom_categories"], before["decay"]) == (None, None, False)
    assert before["project_id"] == mem0_client.project_id
    reply = await asyncio.to_thread(
        mem0_client.project.update,
        custom_instructions="Only food",
        custom_categories=[{"food": "what they eat"}, "travel"],
        multilingual=True,
        decay=True,
        agent_custom_instructions="Only promises",
    )
    assert reply == {"message": "Project updated successfully"}
    fields = ["custom_instructions", "custom_categories", "multilingual", "decay", "agent_custom_instructions"]
    assert await asyncio.to_thread(mem0_client.project.get, fields=fields) == {
        "custom_instructions": "Only food",
        "custom_categories": [{"food": "what they eat"}, "travel"],
        "multilingual": True,
        "decay": True,
        "agent_custom_instructions": "Only promises",
    }


async def test_setting_that_is_not_stored_is_refused_and_changes_nothing(owner: SignedUp, project: str) -> None:
    body = {"custom_instructions": "Only food", "inclusion_prompt": "Only drinks"}
    refused = await owner.client.patch(project, json=body)
    assert (refused.status_code, "no project setting inclusion_prompt" in refused.json()["detail"]) == (400, True)
    assert (await settings(owner.client, project))["custom_instructions"] is None
    # What the server shows may be sent back.
    shown = {"inclusion_prompt": None, "enable_graph": False, "version": "v2", "custom_instructions": "Only tea"}
    assert (await owner.client.patch(project, json=shown)).status_code == 200
    assert (await settings(owner.client, project))["custom_instructions"] == "Only tea"


async def test_older_calls_of_the_client_change_settings(mem0_client: MemoryClient) -> None:
    await asyncio.to_thread(mem0_client.update_project, custom_instructions="Only food")
    found = await asyncio.to_thread(mem0_client.get_project, fields=["custom_instructions"])
    assert found == {"custom_instructions": "Only food"}


async def test_empty_text_removes_instructions_only(owner: SignedUp, project: str) -> None:
    await owner.client.patch(project, json={"custom_instructions": "Only food", "decay": True})
    await owner.client.patch(project, json={"custom_instructions": ""})
    found = await settings(owner.client, project)
    assert (found["custom_instructions"], found["decay"]) == (None, True)


async def test_instructions_may_be_a_list(owner: SignedUp, project: str) -> None:
    await owner.client.patch(project, json={"custom_instructions": ["Only food", "No names"]})
    assert (await settings(owner.client, project))["custom_instructions"] == "Only food\nNo names"


async def test_category_without_a_name_is_refused(owner: SignedUp, project: str) -> None:
    refusals: tuple[object, ...] = ([{}], [""], [{"a": "b", "c": "d"}], "food", [7])
    for wrong in refusals:
        refused = await owner.client.patch(project, json={"custom_categories": wrong})
        assert refused.status_code == 400, wrong
        assert isinstance(refused.json()["detail"], str)


async def test_body_that_names_another_project_is_refused(owner: SignedUp, project: str) -> None:
    refused = await owner.client.patch(project, json={"decay": True, "project_id": "another"})
    assert refused.status_code == 404


async def test_client_creates_and_deletes_projects(mem0_client: MemoryClient) -> None:
    made = await asyncio.to_thread(mem0_client.project.create, name="Shop", description="Sells")
    assert isinstance(made["project_id"], str)
    assert await asyncio.to_thread(mem0_client.project.delete) == {
        "message": "Project and its related data deleted successfully."
    }
    with pytest.raises(AuthenticationError):
        await asyncio.to_thread(mem0_client.project.get)


async def test_key_without_admin_scope_cannot_create_or_delete_projects(connect: Connect, make_key: MakeKey) -> None:
    key = (await make_key("projects:read", "projects:write")).key
    mem0_client = await connect(key)
    for refused in (lambda: mem0_client.project.create(name="Shop"), mem0_client.project.delete):
        with pytest.raises(AuthenticationError, match="admin"):
            await asyncio.to_thread(refused)


async def open_key(app: FastAPI, person: SignedUp, project_id: uuid.UUID) -> httpx.AsyncClient:
    """A client with an admin key that a person creates for a project."""
    body = {"name": "admin", "scopes": sorted(EVERYTHING)}
    made = await person.client.post("/v1/api-keys", json=body, headers={"X-Project-Id": str(project_id)})
    assert made.status_code == 201, made.text
    return open_client(app, made.json()["key"])


async def test_key_creates_projects_only_if_its_creator_owns_the_organization(
    app: FastAPI, owner: SignedUp, project: str, sign_up: SignUp
) -> None:
    projects = project.removesuffix(f"{owner.project_id}/")
    async with await open_key(app, owner, owner.project_id) as key:
        made = await key.post(projects, json={"name": "Shop"})
    assert made.status_code == 201, made.text
    assert made.json()["project_id"] in (await owner.client.get("/v1/projects")).text

    for where, role in ((f"{project}members/", "OWNER"), (projects.replace("projects/", "members/"), "READER")):
        person = await sign_up()
        await add_member(owner.client, where, person, role)
        if role == "READER":
            await add_member(owner.client, f"{project}members/", person, "OWNER")
        async with await open_key(app, person, owner.project_id) as key:
            refused = await key.post(projects, json={"name": "Shop"})
        assert (refused.status_code, "owner of the organization" in refused.text) == (403, True), refused.text
        assert (await person.client.post(projects, json={"name": "Shop"})).status_code in (403, 404)


async def test_client_manages_members(mem0_client: MemoryClient, sign_up: SignUp) -> None:
    colleague = await sign_up()
    added = await asyncio.to_thread(mem0_client.project.add_member, colleague.email, "READER")
    assert (await accept(colleague, added["invitation_id"], added["token"])).status_code == 200
    [member] = (await asyncio.to_thread(mem0_client.project.get_members))["members"]
    assert (member["username"], member["role"], member["status"]) == (colleague.email, "READER", "active")
    with pytest.raises(ValidationError, match="already a member"):
        await asyncio.to_thread(mem0_client.project.add_member, colleague.email, "READER")
    await asyncio.to_thread(mem0_client.project.update_member, colleague.email, "OWNER")
    [member] = (await asyncio.to_thread(mem0_client.project.get_members))["members"]
    assert member["role"] == "OWNER"
    assert "message" in await asyncio.to_thread(mem0_client.project.remove_member, colleague.email)
    assert await asyncio.to_thread(mem0_client.project.get_members) == {"members": []}


@pytest.mark.parametrize("known", [True, False])
async def test_client_manages_pending_members_with_and_without_an_account(
    mem0_client: MemoryClient, sign_up: SignUp, known: bool
) -> None:
    email = (await sign_up()).email if known else f"{uuid.uuid4().hex}@example.com"
    added = await asyncio.to_thread(mem0_client.project.add_member, email, "READER")
    assert (added["message"], added["status"]) == ("User added to the project successfully.", "pending")
    await asyncio.to_thread(mem0_client.project.update_member, email, "OWNER")
    [member] = (await asyncio.to_thread(mem0_client.project.get_members))["members"]
    assert member == {"user_id": "", "username": email, "email": email, "role": "OWNER", "status": "pending"}
    with pytest.raises(ValidationError, match="pending"):
        await asyncio.to_thread(mem0_client.project.add_member, email, "READER")
    await asyncio.to_thread(mem0_client.project.remove_member, email)
    assert await asyncio.to_thread(mem0_client.project.get_members) == {"members": []}


async def test_member_calls_do_not_reveal_who_has_an_account(mem0_client: MemoryClient, sign_up: SignUp) -> None:
    """Before, the response to an address with an account contained the id of the account."""
    details = set()
    for email in ((await sign_up()).email, f"{uuid.uuid4().hex}@example.com"):
        for call in (partial(mem0_client.project.update_member, role="OWNER"), mem0_client.project.remove_member):
            with pytest.raises(MemoryNotFoundError) as refused:
                await asyncio.to_thread(call, email=email)
            details.add(str(refused.value))
    assert len(details) == 1


async def test_only_callers_who_manage_members_see_pending_ones(
    owner: SignedUp, project: str, sign_up: SignUp, app: FastAPI
) -> None:
    reader, invited = await sign_up(), f"{uuid.uuid4().hex}@example.com"
    await add_member(owner.client, f"{project}members/", reader)
    await invite(owner.client, f"{project}members/", invited)
    key = await owner.client.post("/v1/api-keys", json={"name": "reads", "scopes": ["projects:read"]})
    async with open_client(app, key.json()["key"]) as reads:
        for client in (reader.client, reads):
            listed = await client.get(f"{project}members/")
            assert (listed.status_code, invited in listed.text) == (200, False)
    assert invited in (await owner.client.get(f"{project}members/")).text
    key = await owner.client.post("/v1/api-keys", json={"name": "admin", "scopes": ["admin", "projects:read"]})
    async with open_client(app, key.json()["key"]) as admin:
        for role, status in (("READER", 200), ("OWNER", 403)):
            changed = await admin.put(f"{project}members/", json={"email": invited, "role": role})
            assert changed.status_code == status, "a key makes nobody an owner"
    for email in (invited, f"{uuid.uuid4().hex}@example.com"):
        refused = await reader.client.put(f"{project}members/", json={"email": email, "role": "READER"})
        assert refused.status_code == 403, "whether an address is invited is not revealed"


async def test_organization_is_created_with_members_and_deleted(owner: SignedUp, sign_up: SignUp) -> None:
    made = (await owner.client.post(ORGS, json={"name": "Firm"})).json()
    organization, colleague = f"{ORGS}{made['org_id']}/", await sign_up()
    assert (await owner.client.get(organization)).json()["name"] == "Firm"
    assert {each["name"] for each in (await owner.client.get(ORGS)).json()} >= {"Firm"}
    member = {"email": colleague.email, "role": "READER"}
    await add_member(owner.client, f"{organization}members/", colleague)
    changed = await owner.client.put(f"{organization}members/", json={**member, "role": "OWNER"})
    assert changed.json()["message"]
    found = (await owner.client.get(f"{organization}members/")).json()["members"]
    assert {(each["email"], each["role"]) for each in found} == {(owner.email, "OWNER"), (colleague.email, "OWNER")}
    gone = await owner.client.request("DELETE", f"{organization}members/", json={"email": colleague.email})
    assert gone.status_code == 200
    assert (await colleague.client.get(organization)).status_code == 404
    assert (await owner.client.delete(organization)).json()["message"]
    assert (await owner.client.get(organization)).status_code == 404


async def test_project_list_is_limited_to_one_organization(owner: SignedUp, project: str) -> None:
    made = (await owner.client.post(ORGS, json={"name": "Firm"})).json()
    projects = f"{ORGS}{made['org_id']}/projects/"
    assert (await owner.client.get(projects)).json() == []
    shop = (await owner.client.post(projects, json={"name": "Shop"})).json()
    [found] = (await owner.client.get(projects)).json()
    assert (found["project_id"], found["name"]) == (shop["project_id"], "Shop")
    elsewhere = await owner.client.get(f"{projects}{owner.project_id}/")
    assert elsewhere.status_code == 404


async def test_invalid_organization_id_is_refused(owner: SignedUp) -> None:
    assert (await owner.client.get(f"{ORGS}nonsense/")).status_code == 400
