"""User profiles from a language model, with a real server behind OpenAI's API."""

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text

from app.adapters.models.openai import Connection, OpenAIModel
from app.core.errors import AppError, Postponed
from app.core.resources import Resources
from app.core.text.json_answers import read_json_object
from app.main import create_app
from app.memory.ledger.run_event import MAX_ATTEMPTS
from app.memory.namespace import Namespace
from app.memory.user_profiles.generate import MAX_UNUSABLE_ANSWERS, generate_user_profile
from app.memory.user_profiles.jobs import REFRESH_AFTER, delete_old_jobs, refresh_user_profiles
from app.memory.user_profiles.profile_schema import check_schema, fit_to_schema, has_content
from tests.conftest import MakeKey
from tests.memory.namespaces import add_memories, create_namespace, execute_sql
from tests.model_server import Behaviour, Drops, Fails, Held, ModelServer, Raw, Says

CITY = {"type": "string", "description": "Where they live"}
SCHEMA = {"properties": {"city": CITY, "age": {"type": "integer", "description": "Their age"}}}
SECRET = "Zanzibar"


@pytest_asyncio.fixture
async def model_resources(resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    """Without a worker: each test runs the jobs itself."""
    model = OpenAIModel(Connection(base_url=model_server.url, tries=1), model="test-model")
    yield replace(resources, llm=model)
    await model.close()


@pytest.fixture
def app(model_resources: Resources) -> FastAPI:
    return create_app(model_resources)


@pytest_asyncio.fixture
async def client(make_key: MakeKey, app: FastAPI) -> httpx.AsyncClient:
    http = (await make_key()).client
    user = {"schema": SCHEMA, "custom_instructions": "Cities in English"}
    await http.post("/v2/profiles/settings/", json={"enabled": True, "entities": {"user": user}})
    return http


@pytest_asyncio.fixture
async def namespace(model_resources: Resources, project_id: UUID, client: httpx.AsyncClient) -> Namespace:
    return await create_namespace(model_resources, project_id)


async def request_profile(client: httpx.AsyncClient) -> UUID:
    body = {"operation": "trigger", "entity_type": "user", "entity_id": "ann"}
    reply = await client.post("/v2/profiles/jobs/", json=body)
    assert reply.status_code == 202, reply.text
    return UUID(reply.json()["event_id"])


async def read_profile(client: httpx.AsyncClient) -> dict[str, Any]:
    profile: dict[str, Any] = (await client.get("/v2/entities/user/ann/profile/")).json()
    return profile


async def generate_now(model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace) -> dict[str, Any]:
    await generate_user_profile(model_resources, namespace.project_id, await request_profile(client), 0)
    return await read_profile(client)


# ---------------------------------------------------------------- results and failures


async def test_model_receives_schema_and_memories(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace, model_server: ModelServer
) -> None:
    await add_memories(model_resources, namespace, "I live in Rome", "I was born in 1990")
    await add_memories(
        model_resources, await create_namespace(model_resources, namespace.project_id, "bert"), "Bert's secret"
    )
    model_server.chat(Says('Here it is: {"city": "Rome", ', '"age": 36, "more": 1}'))
    profile = await generate_now(model_resources, client, namespace)
    assert profile["profile"] == {"city": "Rome", "age": 36}
    assert (profile["status"], profile["generation_count"], profile["note"]) == ("succeeded", 1, None)
    (body,) = model_server.user_profiles
    task, known = (message["content"] for message in body["messages"])
    assert read_json_object(task) == SCHEMA
    assert "Cities in English" in task
    assert sorted(each["memory"] for each in json.loads(known)) == ["I live in Rome", "I was born in 1990"]


async def test_value_that_does_not_fit_the_schema_is_null(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace, model_server: ModelServer
) -> None:
    await add_memories(model_resources, namespace, "I live in Rome")
    model_server.chat(Says('{"city": "Ro\\u0000me\\ud800", "age": "forty"}'))
    assert (await generate_now(model_resources, client, namespace))["profile"] == {"city": "Rome", "age": None}
    model_server.chat(Says('{"city": null, "age": true}'))
    profile = await generate_now(model_resources, client, namespace)
    assert (profile["status"], profile["profile"]) == ("insufficient_data", {})


@pytest.mark.parametrize(
    ("behaviour", "attempts", "reason"),
    [
        (Raw("I cannot say."), MAX_UNUSABLE_ANSWERS, "not a JSON object"),
        (Raw('["a list"]'), MAX_UNUSABLE_ANSWERS, "not a JSON object"),
        (Fails(401), 0, "refused this server's key"),
        (Fails(429), MAX_ATTEMPTS, "The language model"),
    ],
)
async def test_failure_is_a_failed_event_with_a_reason(
    behaviour: Behaviour,
    attempts: int,
    reason: str,
    model_resources: Resources,
    client: httpx.AsyncClient,
    namespace: Namespace,
    model_server: ModelServer,
) -> None:
    await add_memories(model_resources, namespace, "I live in Rome")
    model_server.chat(Says('{"city": "Rome"}'))
    await generate_now(model_resources, client, namespace)
    model_server.always(behaviour)
    event_id = await request_profile(client)
    for earlier in range(attempts):
        with pytest.raises(AppError):
            await generate_user_profile(model_resources, namespace.project_id, event_id, earlier)
        assert (await read_profile(client))["status"] == "pending"
    await generate_user_profile(model_resources, namespace.project_id, event_id, attempts)
    event = (await client.get(f"/v1/event/{event_id}/")).json()
    assert (event["status"], reason in event["error"]) == ("FAILED", True), event["error"]
    profile = await read_profile(client)
    assert (profile["status"], profile["error"]) == ("failed", event["error"])
    assert profile["profile"] == {"city": "Rome", "age": None}, "the previous user profile stays"


async def test_attempts_are_not_used_up_while_the_model_is_away(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace, model_server: ModelServer
) -> None:
    await add_memories(model_resources, namespace, "I live in Rome")
    model_server.always(Drops())
    event_id = await request_profile(client)
    runs = MAX_ATTEMPTS + 3
    for earlier in range(runs):
        with pytest.raises((AppError, Postponed)) as raised:
            await generate_user_profile(model_resources, namespace.project_id, event_id, earlier)
    assert raised.type is Postponed
    assert (await read_profile(client))["status"] == "pending"
    model_server.chat(Says('{"city": "Rome"}'))
    back = OpenAIModel(Connection(base_url=model_server.url), model="test-model")
    await generate_user_profile(replace(model_resources, llm=back), namespace.project_id, event_id, runs)
    await back.close()
    assert (await read_profile(client))["status"] == "succeeded"


async def wait_for_request(model_server: ModelServer) -> None:
    for _ in range(6000):
        if model_server.user_profiles:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the model received no request")


async def test_memory_deleted_during_generation_is_in_no_user_profile(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace, model_server: ModelServer
) -> None:
    (memory_id, _) = await add_memories(model_resources, namespace, f"I live in {SECRET}", "I am 36 years old")
    deleted = threading.Event()
    model_server.chat(Held(deleted, Says(f'{{"city": "{SECRET}"', ', "age": 36}')), Says('{"age": 36}'))
    event_id = await request_profile(client)
    thinking = asyncio.create_task(generate_user_profile(model_resources, namespace.project_id, event_id, 0))
    await wait_for_request(model_server)
    assert (await client.delete(f"/v1/memories/{memory_id}/")).status_code == 200
    deleted.set()
    with pytest.raises(AppError):
        await thinking
    assert (await read_profile(client))["profile"] == {}
    await generate_user_profile(model_resources, namespace.project_id, event_id, 1)
    assert (await read_profile(client))["profile"] == {"city": None, "age": 36}


async def test_log_and_job_contain_no_content(
    model_resources: Resources,
    client: httpx.AsyncClient,
    namespace: Namespace,
    model_server: ModelServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await add_memories(model_resources, namespace, f"I live in {SECRET}")
    model_server.chat(Says(f'{{"city": "{SECRET}"}}'), Raw(SECRET))
    assert (await generate_now(model_resources, client, namespace))["profile"]["city"] == SECRET
    event_id = await request_profile(client)
    await generate_user_profile(model_resources, namespace.project_id, event_id, MAX_ATTEMPTS)
    logged = "".join(capfd.readouterr())
    assert str(event_id) in logged
    assert SECRET not in logged
    async with model_resources.database.system() as tx:
        job = text("select args::text from jobs.procrastinate_jobs where args ->> 'event_id' = :id")
        arguments = await tx.scalar(job, {"id": str(event_id)})
    assert json.loads(arguments or "{}") == {"project_id": str(namespace.project_id), "event_id": str(event_id)}


async def test_finished_event_is_not_generated_again(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace, model_server: ModelServer
) -> None:
    await add_memories(model_resources, namespace, "I live in Rome")
    model_server.chat(Says('{"city": "Rome"}'))
    event_id = await request_profile(client)
    for _ in range(2):
        await generate_user_profile(model_resources, namespace.project_id, event_id, 0)
    await generate_user_profile(model_resources, namespace.project_id, uuid.uuid4(), 0)
    assert len(model_server.user_profiles) == 1


# ---------------------------------------------------------------- periodic refresh


async def count_pending(client: httpx.AsyncClient) -> int:
    found = (await client.get("/v1/events/", params={"event_type": "PROFILE", "status": "PENDING"})).json()
    return int(found["count"])


async def test_enough_new_memories_request_one_user_profile(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Says('{"city": "Rome"}'))
    await add_memories(
        model_resources, namespace, *(f"I saw bird number {number}" for number in range(REFRESH_AFTER - 1))
    )
    await refresh_user_profiles(model_resources)
    assert await count_pending(client) == 0
    await add_memories(model_resources, namespace, "I live in Rome")
    for _ in range(2):
        await refresh_user_profiles(model_resources)
        assert await count_pending(client) == 1
    (event,) = (await client.get("/v1/events/", params={"event_type": "PROFILE"})).json()["results"]
    await generate_user_profile(model_resources, namespace.project_id, UUID(event["id"]), 0)
    assert (await read_profile(client))["status"] == "succeeded"
    await refresh_user_profiles(model_resources)
    assert await count_pending(client) == 0


async def test_insufficient_data_is_not_retried_before_more_memories(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace, model_server: ModelServer
) -> None:
    await add_memories(model_resources, namespace, *(f"I saw bird number {number}" for number in range(REFRESH_AFTER)))
    model_server.always(Says('{"city": null}'))
    assert (await generate_now(model_resources, client, namespace))["status"] == "insufficient_data"
    await refresh_user_profiles(model_resources)
    assert await count_pending(client) == 0


async def test_jobs_are_kept_for_a_month(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace
) -> None:
    await add_memories(model_resources, namespace, "I live in Rome")
    old, young = await request_profile(client), await request_profile(client)
    older = (
        "update portrait_jobs set created_at = now() - interval '31 days' where event_ids = array[cast(:id as uuid)]"
    )
    await execute_sql(model_resources, namespace, older, id=old)
    await delete_old_jobs(model_resources)
    async with model_resources.database.transaction(namespace.project_id) as tx:
        left = list(await tx.scalars(text("select event_ids[1] from portrait_jobs")))
    assert left == [young]


async def test_disabled_project_is_not_refreshed(
    model_resources: Resources, client: httpx.AsyncClient, namespace: Namespace
) -> None:
    await client.post("/v2/profiles/settings/", json={"enabled": False})
    await add_memories(model_resources, namespace, *(f"I saw bird number {number}" for number in range(REFRESH_AFTER)))
    await refresh_user_profiles(model_resources)
    assert await count_pending(client) == 0


# ---------------------------------------------------------------- pure functions


@pytest.mark.parametrize(
    ("wanted", "answer", "kept"),
    [
        ({"type": "integer"}, 3, 3),
        ({"type": "integer"}, 3.5, None),
        ({"type": "number"}, 3.5, 3.5),
        ({"type": "number"}, True, None),
        ({"type": "boolean"}, False, False),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1, "b"], ["a", "b"]),
        ({"type": "array"}, "a", None),
        ({"type": "string", "enum": ["red", "blue"]}, "green", None),
        ({"type": "object", "properties": {"b": {"type": "string"}}}, {"b": "x", "c": "y"}, {"b": "x"}),
        ({"type": "object"}, {"a\0": ["\\u0000", "\ud800"]}, {"a": ["\\u0000", ""]}),
        ({}, [1, "a"], [1, "a"]),
    ],
)
def test_answer_is_fitted_to_the_schema(wanted: dict[str, Any], answer: object, kept: object) -> None:
    assert fit_to_schema({"it": answer, "more": 1}, {"properties": {"it": wanted}}) == {"it": kept}


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("nothing", None),
        ("{not json}", None),
        ("[1]", None),
        ("", None),
    ],
)
def test_answer_is_parsed_wherever_the_object_is(answer: str, read: object) -> None:
    assert read_json_object(answer) == read


@pytest.mark.parametrize(
    ("value", "says"),
    [({}, False), ({"a": None, "b": [], "c": "", "d": {"e": None}}, False), ({"a": False}, True), ({"a": 0}, True)],
)
def test_profile_without_values_has_no_content(value: object, says: bool) -> None:
    assert has_content(value) is says


def test_schema_depth_is_limited() -> None:
    schema: dict[str, Any] = {"properties": {"a": CITY}}
    for _ in range(4):
        schema = {"properties": {"a": {"type": "object", "description": "A", **schema}}}
    check_schema(schema)
    with pytest.raises(AppError, match="levels"):
        check_schema({"properties": {"a": {"type": "object", "description": "A", **schema}}})
