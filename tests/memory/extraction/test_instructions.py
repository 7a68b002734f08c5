"""Instructions: the call's own before the project's, each speaker by theirs, all the way to the model's prompt."""

import uuid

import httpx
import pytest

from app.core.resources import Resources
from app.memory.extraction.extract import _as_request, _begin
from app.memory.extraction.instructions import KEEP_LANGUAGE, Called, read_called, resolve

USER, AGENT, BOTH = (
    {"user_id": "anna", "agent_id": None},
    {"user_id": None, "agent_id": "bot"},
    {"user_id": "anna", "agent_id": "bot"},
)
PROJECT = {"custom_instructions": "P", "agent_custom_instructions": "A"}


@pytest.mark.parametrize(
    ("called", "settings", "who", "expected"),
    [
        (Called(), {}, USER, None),
        (Called(), PROJECT, USER, "P"),
        (Called(own="C"), PROJECT, USER, "C"),
        (Called(own=""), PROJECT, USER, None),
        (Called(agents="D"), PROJECT, USER, "P"),
        (Called(), PROJECT, AGENT, "A"),
        (Called(), {"custom_instructions": "P"}, AGENT, "P"),
        (Called(agents="D"), PROJECT, AGENT, "D"),
        (Called(), PROJECT, BOTH, "For what the user says: P\nFor what the assistant says: A"),
        (Called(), {"custom_instructions": "P"}, BOTH, "P"),
        (Called(includes="I", excludes="E"), {}, USER, "Remember only: I\nDo not remember: E"),
        (Called(includes="I"), PROJECT, USER, "P\nRemember only: I"),
        (Called(), {"multilingual": True}, USER, KEEP_LANGUAGE),
        (Called(), {"multilingual": False}, USER, None),
    ],
)
def test_whose_instructions_count(
    called: Called, settings: dict[str, object], who: dict[str, str | None], expected: str | None
) -> None:
    assert resolve(called, settings, **who) == expected  # type: ignore[arg-type]  # both of its keywords


def test_what_a_call_said_is_kept_until_it_is_read() -> None:
    called = Called("own", None, "", "not this")
    assert read_called(called.as_request()) == called
    assert read_called("as it once was kept") == Called(own="as it once was kept")
    assert read_called(None) == Called()


async def test_a_projects_instructions_reach_the_extractor(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    ping = (await client.get("/v1/ping/")).json()
    project = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{project_id}/"
    await client.patch(project, json={"custom_instructions": "Only food", "multilingual": True})
    said = {"messages": "I like tea", "user_id": "anna", "includes": "drinks"}
    event = (await client.post("/v3/memories/add/", json=said)).json()["event_id"]
    task = await _begin(resources, project_id, uuid.UUID(event))
    assert task is not None
    request = _as_request(resources, task)
    assert request.instructions == f"Only food\n{KEEP_LANGUAGE}\nRemember only: drinks"


async def test_memories_expire_when_the_project_says_so_unless_they_say_so_themselves(
    client: httpx.AsyncClient, project_id: uuid.UUID
) -> None:
    ping = (await client.get("/v1/ping/")).json()
    project = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{project_id}/"
    await client.patch(project, json={"expiration_date": "2199-01-31"})
    assert await expiry(client) == "2199-01-31"
    assert await expiry(client, expiration_date="2198-01-01") == "2198-01-01"
    await client.patch(project, json={"expiration_date": None, "expiration_days": 3})
    assert await expiry(client, timestamp=0) == "1970-01-04"
    await client.patch(project, json={"expiration_days": None})
    assert await expiry(client) is None


async def expiry(client: httpx.AsyncClient, **more: object) -> object:
    said = {"messages": f"I like {uuid.uuid4()}", "user_id": "anna", "infer": False, **more}
    added = (await client.post("/v3/memories/add/", json=said)).json()["results"][0]["id"]
    return (await client.get(f"/v1/memories/{added}/")).json()["expiration_date"]
