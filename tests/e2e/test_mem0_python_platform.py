"""Both of mem0's Python clients: every call that is not about memories, and each failure with its own exception."""

import asyncio
import inspect
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from mem0 import AsyncMemoryClient, MemoryClient
from mem0.client.project import AsyncProject, Project
from mem0.exceptions import (
    AuthenticationError,
    MemoryError,
    MemoryNotFoundError,
    MemoryQuotaExceededError,
    NetworkError,
    ValidationError,
)

from app.core.resources import Resources
from tests.conftest import MakeKey, SignUp
from tests.e2e.loopback import with_failing_index
from tests.e2e.mem0_python import ALICE, Mem0, close, connect_client
from tests.loopback import serve_on_loopback
from tests.members import accept

HERE = Path(__file__).parent
CITY = {"home_city": "Rome"}
SCHEMA = {
    "properties": {
        "home_city": {"type": "string", "description": "The city they live in"},
        "shoe_size": {"type": "integer", "description": "The size of their shoes"},
    }
}


@pytest.mark.parametrize(
    ("client", "project"), [(MemoryClient, Project), (AsyncMemoryClient, AsyncProject)], ids=["plain", "async"]
)
def test_every_client_method_is_tested(client: type, project: type) -> None:
    """Calls are written as mem0("name", …) in these tests, so a method added by a new version is reported here."""
    words = "".join(path.read_text() for path in HERE.glob("test_mem0_python*.py"))
    asked = set(re.findall(r'mem0\(\s*"([a-z_.]+)"', words))
    methods = {name for name in dir(client) if is_call(client, name)}
    methods |= {f"project.{name}" for name in dir(project) if is_call(project, name)}
    assert len(methods) > 30, "the list of methods itself must be right"
    assert methods - asked == set()


def is_call(of: type, name: str) -> bool:
    return not name.startswith("_") and inspect.isfunction(getattr(of, name))


# ---------------------------------------------------------------- the project


SETTINGS: dict[str, Any] = {
    "custom_instructions": "Only food",
    "custom_categories": [{"food": "What they eat"}, {"drinks": "What they drink"}],
    "multilingual": True,
    "decay": True,
    "agent_custom_instructions": "Only promises",
}


async def test_project_settings_can_be_read_and_changed(mem0: Mem0) -> None:
    assert await mem0("project.update", **SETTINGS) == {"message": "Project updated successfully"}
    assert await mem0("project.get", fields=list(SETTINGS)) == SETTINGS
    whole = await mem0("project.get")
    assert (whole["project_id"], whole["decay"]) == (str(mem0.key.project_id), True)
    with pytest.raises(ValidationError, match="custom_categories"):
        await mem0("project.update", custom_categories=[{}])


async def test_older_calls_behave_the_same(mem0: Mem0) -> None:
    reply = await mem0("update_project", custom_instructions="Only food", multilingual=True)
    assert reply == {"message": "Project updated successfully"}
    found = await mem0("get_project", fields=["custom_instructions", "multilingual"])
    assert found == {"custom_instructions": "Only food", "multilingual": True}


async def test_members_can_be_added_changed_and_removed(mem0: Mem0, sign_up: SignUp) -> None:
    person = await sign_up()
    email = person.email
    added = await mem0("project.add_member", email, "READER")
    assert "message" in added
    assert (await accept(person, added["invitation_id"], added["token"])).status_code == 200
    with pytest.raises(ValidationError, match="already a member") as twice:
        await mem0("project.add_member", email, "READER")
    assert twice.value.error_code == "HTTP_409"
    assert "message" in await mem0("project.update_member", email, "OWNER")
    [member] = (await mem0("project.get_members"))["members"]
    assert (member["username"], member["role"]) == (email, "OWNER")
    assert "message" in await mem0("project.remove_member", email)
    assert await mem0("project.get_members") == {"members": []}


async def test_projects_can_be_created_and_deleted_with_an_api_key(mem0: Mem0) -> None:
    made = await mem0("project.create", name="Shop", description="Sells")
    assert uuid.UUID(made["project_id"]) != mem0.key.project_id
    assert "message" in await mem0("project.delete")
    with pytest.raises(AuthenticationError) as gone:
        await mem0("get_all", filters=ALICE)
    assert gone.value.error_code == "HTTP_401"
    assert gone.value.details["code"] == "unauthorized"


# ---------------------------------------------------------------- webhooks, exports


async def test_webhooks_can_be_created_changed_and_deleted(mem0: Mem0) -> None:
    project = str(mem0.key.project_id)
    assert await mem0("get_webhooks", project_id=project) == []
    new = {"url": "https://hooks.example/in", "name": "Hook", "event_types": ["memory_add"]}
    made = await mem0("create_webhook", project_id=project, **new)
    assert {name: made[name] for name in new} == new
    assert (made["project"], made["is_active"]) == (project, True)
    more = {"name": "Other", "event_types": ["memory_add", "memory_delete"]}
    reply = await mem0("update_webhook", made["webhook_id"], **more)
    assert reply == {"message": "Webhook updated successfully"}
    [found] = await mem0("get_webhooks", project_id=project)
    assert {name: found[name] for name in new} == {**new, **more}
    assert await mem0("delete_webhook", made["webhook_id"]) == {"message": "Webhook deleted successfully"}
    with pytest.raises(MemoryNotFoundError):
        await mem0("delete_webhook", made["webhook_id"])
    with pytest.raises(MemoryNotFoundError):
        await mem0("get_webhooks", project_id=str(uuid.uuid4()))


async def test_export_has_the_requested_schema(mem0: Mem0) -> None:
    await mem0.add_verbatim("I moved keepsake", metadata=CITY)
    schema = {"properties": {"home_city": {"type": "string"}, "memories": {"type": "array"}}}
    made = await mem0("create_memory_export", schema=schema, filters=ALICE, export_instructions="Be brief")
    expected = {"home_city": "Rome", "memories": ["I moved keepsake"]}
    assert await mem0("get_memory_export", memory_export_id=made["id"]) == expected
    assert await mem0("get_memory_export", filters=ALICE) == expected
    with pytest.raises(MemoryNotFoundError, match="No memory export request found"):
        await mem0("get_memory_export", memory_export_id=str(uuid.uuid4()))


async def test_client_chat_is_not_supported(mem0: Mem0) -> None:
    with pytest.raises(NotImplementedError):
        await mem0("chat")


# ---------------------------------------------------------------- user profiles


async def finished(mem0: Mem0, status_url: str) -> dict[str, Any]:
    for _ in range(1200):
        job: dict[str, Any] = (await mem0("get_profile_job", status_url))["job"]
        if job["status"] not in ("pending", "running"):
            return job
        await asyncio.sleep(0.05)
    raise AssertionError("the job never ended")


async def test_user_profiles_can_be_enabled_sampled_generated_and_read(mem0: Mem0) -> None:
    await mem0.add_verbatim("I moved keepsake", metadata=CITY)
    await mem0.add_verbatim("I moved keepsake too", user_id="bob", metadata={"home_city": "Oslo"})
    assert (await mem0("get_profile", "alice"))["status"] == "not_enabled"
    with pytest.raises(ValidationError, match="disabled"):
        await mem0("generate_profile", "alice")
    settings = await mem0("update_profile_settings", enabled=True, schema=SCHEMA, custom_instructions="Be brief")
    assert settings == await mem0("get_profile_settings")
    assert settings["entities"]["user"] == {"schema": SCHEMA, "custom_instructions": "Be brief"}
    sample = await mem0("sample_profiles", limit=1)
    assert (await finished(mem0, sample["status_url"]))["succeeded"] == 1
    started = await mem0("generate_profile", "alice")
    assert (await finished(mem0, started["status_url"]))["status"] == "succeeded"
    profile = await mem0("get_profile", "alice")
    assert (profile["status"], profile["profile"]) == ("succeeded", {"home_city": "Rome", "shoe_size": None})
    with pytest.raises(MemoryNotFoundError, match="no such user"):
        await mem0("get_profile", "nobody")


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "expected"), [(500, MemoryError), (502, NetworkError), (503, NetworkError), (504, NetworkError)]
)
async def test_server_errors_raise_matching_exceptions(
    status: int, expected: type[MemoryError], client_class: type[Any], resources: Resources, make_key: MakeKey
) -> None:
    async with serve_on_loopback(with_failing_index(resources)) as url:
        mem0 = await connect_client(client_class, url, await make_key())
        await mem0.add_verbatim("I like tea")
        with pytest.raises(expected) as failed:
            await mem0("search", f"fail with {status}", filters=ALICE)
        await close(mem0)
    assert type(failed.value) is expected
    assert failed.value.error_code == f"HTTP_{status}"
    assert failed.value.details["detail"] == failed.value.message
    assert failed.value.details["request_id"]
    assert "mistake of ours" not in failed.value.message, "what went wrong inside stays inside"


async def test_oversized_body_raises_quota_error(mem0: Mem0) -> None:
    with pytest.raises(MemoryQuotaExceededError, match="MAX_BODY_BYTES") as refused:
        await mem0("add", "x" * (5 << 20), user_id="alice")
    assert refused.value.error_code == "HTTP_413"


async def test_client_timeout_raises_network_error(client_class: type[Any], server_url: str, make_key: MakeKey) -> None:
    mem0 = await connect_client(client_class, server_url, await make_key())
    inside = mem0.client.async_client if isinstance(mem0.client, AsyncMemoryClient) else mem0.client.client
    inside.timeout = httpx.Timeout(30, read=1e-6)
    with pytest.raises(NetworkError) as late:
        await mem0("get_all", filters=ALICE)
    assert late.value.error_code == "NET_TIMEOUT"
    await close(mem0)
