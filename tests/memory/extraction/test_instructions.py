"""Instructions of a call and of its project, from the request to the extractor."""

import json
import uuid

import httpx
import pytest

from app.core.resources import Resources
from app.memory.extraction.extract import build_extraction_request
from app.memory.extraction.instructions import KEEP_LANGUAGE, resolve_instructions
from app.memory.ledger import CallInstructions, EventRequest
from app.memory.ledger.run_event import begin_event
from app.memory.origin import Origin

USER, AGENT, BOTH = Origin(user_id="anna"), Origin(agent_id="bot"), Origin(user_id="anna", agent_id="bot")
PROJECT = {"custom_instructions": "P", "agent_custom_instructions": "A"}


@pytest.mark.parametrize(
    ("called", "settings", "origin", "expected"),
    [
        (CallInstructions(), {}, USER, None),
        (CallInstructions(), PROJECT, USER, "P"),
        (CallInstructions(own="C"), PROJECT, USER, "C"),
        (CallInstructions(own=""), PROJECT, USER, None),
        (CallInstructions(agents="D"), PROJECT, USER, "P"),
        (CallInstructions(), PROJECT, AGENT, "A"),
        (CallInstructions(), {"custom_instructions": "P"}, AGENT, "P"),
        (CallInstructions(agents="D"), PROJECT, AGENT, "D"),
        (CallInstructions(), PROJECT, BOTH, "For what the user says: P\nFor what the assistant says: A"),
        (CallInstructions(), {"custom_instructions": "P"}, BOTH, "P"),
        (CallInstructions(includes="I", excludes="E"), {}, USER, "Remember only: I\nDo not remember: E"),
        (CallInstructions(includes="I"), PROJECT, USER, "P\nRemember only: I"),
        (CallInstructions(), {"multilingual": True}, USER, KEEP_LANGUAGE),
        (CallInstructions(), {"multilingual": False}, USER, None),
    ],
)
def test_instructions_of_call_and_project_are_combined(
    called: CallInstructions, settings: dict[str, object], origin: Origin, expected: str | None
) -> None:
    assert resolve_instructions(called, settings, origin) == expected


def test_instructions_of_a_call_survive_storage() -> None:
    instructions = CallInstructions(own="own", includes="", excludes="not this")
    stored = EventRequest(instructions=instructions).as_json()
    assert json.loads(stored) == {"instructions": {"own": "own", "includes": "", "excludes": "not this"}}
    assert EventRequest.model_validate_json(stored).instructions == instructions


@pytest.mark.parametrize(
    ("stored", "instructions"),
    [
        ({"instructions": "only food"}, CallInstructions(own="only food")),
        ({"instructions": None}, CallInstructions()),
        ({}, CallInstructions()),
    ],
)
def test_instructions_of_older_events_are_read(stored: dict[str, object], instructions: CallInstructions) -> None:
    assert EventRequest.model_validate(stored).instructions == instructions


async def test_project_instructions_reach_the_extractor(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    ping = (await client.get("/v1/ping/")).json()
    project = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{project_id}/"
    await client.patch(project, json={"custom_instructions": "Only food", "multilingual": True})
    body = {"messages": "I like tea", "user_id": "anna", "includes": "drinks"}
    event = (await client.post("/v3/memories/add/", json=body)).json()["event_id"]
    running = await begin_event(resources.database, project_id, uuid.UUID(event))
    assert running is not None
    request = build_extraction_request(resources, running)
    assert request.instructions == f"Only food\n{KEEP_LANGUAGE}\nRemember only: drinks"


async def test_memories_expire_by_project_default_unless_the_call_says_otherwise(
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
    body = {"messages": f"I like {uuid.uuid4()}", "user_id": "anna", "infer": False, **more}
    added = (await client.post("/v3/memories/add/", json=body)).json()["results"][0]["id"]
    return (await client.get(f"/v1/memories/{added}/")).json()["expiration_date"]
