"""What a language model makes of what is remembered of one user, with a real server behind OpenAI's API."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text

from app.adapters.models.openai import Connection, OpenAIModel
from app.core.errors import AppError
from app.core.resources import Resources
from app.main import create_app
from app.memory.namespace import Namespace
from app.memory.user_profiles.generate import MOST_BAD_ANSWERS, MOST_TRIES, portray
from app.memory.user_profiles.profile_schema import check_schema, fit, read_answer, says_something
from app.memory.user_profiles.request import DUE_AFTER, forget_old_jobs, refresh_portraits
from tests.conftest import MakeKey
from tests.memory.namespaces import execute, keep, move_in
from tests.model_server import Behaviour, Drops, Fails, ModelServer, Raw, Says

CITY = {"type": "string", "description": "Where they live"}
SCHEMA = {"properties": {"city": CITY, "age": {"type": "integer", "description": "Their age"}}}
SECRET = "Zanzibar"


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def server(models: ModelServer) -> ModelServer:
    models.forget()
    return models


@pytest_asyncio.fixture
async def house(resources: Resources, server: ModelServer) -> AsyncIterator[Resources]:
    """Nobody works here but the test itself: it runs each job when it wants to."""
    model = OpenAIModel(Connection(base_url=server.url, tries=1, timeout_seconds=5), model="test-model")
    yield replace(resources, llm=model)
    await model.close()


@pytest.fixture
def app(house: Resources) -> FastAPI:
    return create_app(house)


@pytest_asyncio.fixture
async def client(make_key: MakeKey, app: FastAPI) -> httpx.AsyncClient:
    http = (await make_key()).client
    user = {"schema": SCHEMA, "custom_instructions": "Cities in English"}
    await http.post("/v2/profiles/settings/", json={"enabled": True, "entities": {"user": user}})
    return http


@pytest_asyncio.fixture
async def home(house: Resources, project_id: UUID, client: httpx.AsyncClient) -> Namespace:
    return await move_in(house, project_id)


async def asked(client: httpx.AsyncClient) -> UUID:
    body = {"operation": "trigger", "entity_type": "user", "entity_id": "ann"}
    reply = await client.post("/v2/profiles/jobs/", json=body)
    assert reply.status_code == 202, reply.text
    return UUID(reply.json()["event_id"])


async def seen(client: httpx.AsyncClient) -> dict[str, Any]:
    profile: dict[str, Any] = (await client.get("/v2/entities/user/ann/profile/")).json()
    return profile


async def made(house: Resources, client: httpx.AsyncClient, home: Namespace) -> dict[str, Any]:
    await portray(house, home.project_id, await asked(client), 0)
    return await seen(client)


# ---------------------------------------------------------------- what comes of it


async def test_the_model_is_asked_for_the_schema_and_told_what_is_remembered(
    house: Resources, client: httpx.AsyncClient, home: Namespace, server: ModelServer
) -> None:
    await keep(house, home, "I live in Rome", "I was born in 1990")
    await keep(house, await move_in(house, home.project_id, "bert"), "Bert's secret")
    server.chat(Says('Here it is: {"city": "Rome", ', '"age": 36, "more": 1}'))
    profile = await made(house, client, home)
    assert profile["profile"] == {"city": "Rome", "age": 36}
    assert (profile["status"], profile["generation_count"], profile["note"]) == ("succeeded", 1, None)
    (body,) = server.portraits
    task, known = (message["content"] for message in body["messages"])
    assert read_answer(task) == SCHEMA
    assert "Cities in English" in task
    assert sorted(each["memory"] for each in json.loads(known)) == ["I live in Rome", "I was born in 1990"]


async def test_what_was_not_asked_for_that_way_is_null(
    house: Resources, client: httpx.AsyncClient, home: Namespace, server: ModelServer
) -> None:
    await keep(house, home, "I live in Rome")
    server.chat(Says('{"city": "Ro\\u0000me\\ud800", "age": "forty"}'))
    assert (await made(house, client, home))["profile"] == {"city": "Rome", "age": None}
    server.chat(Says('{"city": null, "age": true}'))
    profile = await made(house, client, home)
    assert (profile["status"], profile["profile"]) == ("insufficient_data", {})


@pytest.mark.parametrize(
    ("behaviour", "tries", "reason"),
    [
        (Raw("I cannot say."), MOST_BAD_ANSWERS, "not a JSON object"),
        (Raw('["a list"]'), MOST_BAD_ANSWERS, "not a JSON object"),
        (Fails(401), 0, "refused this server's key"),
        (Fails(500), MOST_TRIES, "The language model"),
        (Drops(), MOST_TRIES, "The language model"),
    ],
)
async def test_what_goes_wrong_is_an_event_that_failed_with_the_reason(
    behaviour: Behaviour,
    tries: int,
    reason: str,
    house: Resources,
    client: httpx.AsyncClient,
    home: Namespace,
    server: ModelServer,
) -> None:
    await keep(house, home, "I live in Rome")
    server.chat(Says('{"city": "Rome"}'))
    await made(house, client, home)
    server.always(behaviour)
    event_id = await asked(client)
    for earlier in range(tries):
        with pytest.raises(AppError):
            await portray(house, home.project_id, event_id, earlier)
        assert (await seen(client))["status"] == "pending"
    await portray(house, home.project_id, event_id, tries)
    event = (await client.get(f"/v1/event/{event_id}/")).json()
    assert (event["status"], reason in event["error"]) == ("FAILED", True), event["error"]
    profile = await seen(client)
    assert (profile["status"], profile["error"]) == ("failed", event["error"])
    assert profile["profile"] == {"city": "Rome", "age": None}, "the one from before stays"


async def begun(server: ModelServer) -> None:
    for _ in range(1000):
        if server.portraits:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the model was never asked")


async def test_what_is_deleted_while_the_model_thinks_is_in_no_profile(
    house: Resources, client: httpx.AsyncClient, home: Namespace, server: ModelServer
) -> None:
    (memory_id, _) = await keep(house, home, f"I live in {SECRET}", "I am 36 years old")
    server.chat(Says(f'{{"city": "{SECRET}"', ', "age": 36}', delay=0.3), Says('{"age": 36}'))
    event_id = await asked(client)
    thinking = asyncio.create_task(portray(house, home.project_id, event_id, 0))
    await begun(server)
    assert (await client.delete(f"/v1/memories/{memory_id}/")).status_code == 200
    with pytest.raises(AppError):
        await thinking
    assert (await seen(client))["profile"] == {}
    await portray(house, home.project_id, event_id, 1)
    assert (await seen(client))["profile"] == {"city": None, "age": 36}


async def test_no_word_of_it_is_in_the_log_nor_in_a_job(
    house: Resources,
    client: httpx.AsyncClient,
    home: Namespace,
    server: ModelServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await keep(house, home, f"I live in {SECRET}")
    server.chat(Says(f'{{"city": "{SECRET}"}}'), Raw(SECRET))
    assert (await made(house, client, home))["profile"]["city"] == SECRET
    event_id = await asked(client)
    await portray(house, home.project_id, event_id, MOST_TRIES)
    logged = "".join(capfd.readouterr())
    assert str(event_id) in logged
    assert SECRET not in logged
    async with house.database.system() as tx:
        job = text("select args::text from jobs.procrastinate_jobs where args ->> 'event_id' = :id")
        arguments = await tx.scalar(job, {"id": str(event_id)})
    assert json.loads(arguments or "{}") == {"project_id": str(home.project_id), "event_id": str(event_id)}


async def test_an_event_that_is_done_is_not_done_again(
    house: Resources, client: httpx.AsyncClient, home: Namespace, server: ModelServer
) -> None:
    await keep(house, home, "I live in Rome")
    server.chat(Says('{"city": "Rome"}'))
    event_id = await asked(client)
    for _ in range(2):
        await portray(house, home.project_id, event_id, 0)
    await portray(house, home.project_id, uuid.uuid4(), 0)
    assert len(server.portraits) == 1


# ---------------------------------------------------------------- by itself


async def waiting(client: httpx.AsyncClient) -> int:
    found = (await client.get("/v1/events/", params={"event_type": "PROFILE", "status": "PENDING"})).json()
    return int(found["count"])


async def test_enough_new_memories_make_one_by_itself_once(
    house: Resources, client: httpx.AsyncClient, home: Namespace, server: ModelServer
) -> None:
    server.always(Says('{"city": "Rome"}'))
    await keep(house, home, *(f"I saw bird number {number}" for number in range(DUE_AFTER - 1)))
    await refresh_portraits(house)
    assert await waiting(client) == 0
    await keep(house, home, "I live in Rome")
    for _ in range(2):
        await refresh_portraits(house)
        assert await waiting(client) == 1
    (event,) = (await client.get("/v1/events/", params={"event_type": "PROFILE"})).json()["results"]
    await portray(house, home.project_id, UUID(event["id"]), 0)
    assert (await seen(client))["status"] == "succeeded"
    await refresh_portraits(house)
    assert await waiting(client) == 0


async def test_a_try_in_vain_is_not_repeated_until_there_is_more(
    house: Resources, client: httpx.AsyncClient, home: Namespace, server: ModelServer
) -> None:
    await keep(house, home, *(f"I saw bird number {number}" for number in range(DUE_AFTER)))
    server.always(Says('{"city": null}'))
    assert (await made(house, client, home))["status"] == "insufficient_data"
    await refresh_portraits(house)
    assert await waiting(client) == 0


async def test_a_job_is_known_for_a_month(house: Resources, client: httpx.AsyncClient, home: Namespace) -> None:
    await keep(house, home, "I live in Rome")
    old, young = await asked(client), await asked(client)
    older = (
        "update portrait_jobs set created_at = now() - interval '31 days' where event_ids = array[cast(:id as uuid)]"
    )
    await execute(house, home, older, id=old)
    await forget_old_jobs(house)
    async with house.database.transaction(home.project_id) as tx:
        left = list(await tx.scalars(text("select event_ids[1] from portrait_jobs")))
    assert left == [young]


async def test_nothing_is_made_by_itself_where_it_is_switched_off(
    house: Resources, client: httpx.AsyncClient, home: Namespace
) -> None:
    await client.post("/v2/profiles/settings/", json={"enabled": False})
    await keep(house, home, *(f"I saw bird number {number}" for number in range(DUE_AFTER)))
    await refresh_portraits(house)
    assert await waiting(client) == 0


# ---------------------------------------------------------------- without asking anybody


@pytest.mark.parametrize(
    ("wanted", "said", "kept"),
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
def test_an_answer_is_held_against_the_schema(wanted: dict[str, Any], said: object, kept: object) -> None:
    assert fit({"it": said, "more": 1}, {"properties": {"it": wanted}}) == {"it": kept}


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
def test_an_answer_is_read_wherever_the_object_stands(answer: str, read: object) -> None:
    assert read_answer(answer) == read


@pytest.mark.parametrize(
    ("value", "says"),
    [({}, False), ({"a": None, "b": [], "c": "", "d": {"e": None}}, False), ({"a": False}, True), ({"a": 0}, True)],
)
def test_a_profile_says_something_or_is_not_enough(value: object, says: bool) -> None:
    assert says_something(value) is says


def test_a_schema_may_have_levels_but_not_endless_ones() -> None:
    schema: dict[str, Any] = {"properties": {"a": CITY}}
    for _ in range(4):
        schema = {"properties": {"a": {"type": "object", "description": "A", **schema}}}
    check_schema(schema)
    with pytest.raises(AppError, match="levels"):
        check_schema({"properties": {"a": {"type": "object", "description": "A", **schema}}})
