"""mem0's user profiles with mem0's own client: switched on, made as a job, looked at, and gone with what they repeat.

Without a language model, as a newcomer has it: tests/memory/user_profiles/test_generate.py has one.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from mem0 import MemoryClient
from mem0.exceptions import MemoryNotFoundError, RateLimitError, ValidationError

from app.core.resources import Resources
from app.worker import run_jobs
from tests.conftest import KeyHolder, MakeKey, SignUp
from tests.gateways.mem0.conftest import Connect

SCHEMA = {
    "type": "object",
    "properties": {
        "home_city": {"type": "string", "description": "The city the person lives in"},
        "drinks": {"type": "array", "items": {"type": "string"}, "description": "What the person likes to drink"},
        "shoe_size": {"type": "integer", "description": "The size of their shoes"},
    },
}
AS_JSON = {"Content-Type": "application/json"}
CITY = {"home_city": "Rome"}


@pytest_asyncio.fixture
async def key(make_key: MakeKey) -> KeyHolder:
    return await make_key()


@pytest_asyncio.fixture
async def mem0(connect: Connect, key: KeyHolder) -> MemoryClient:
    return await connect(key.key)


@pytest_asyncio.fixture
async def working(resources: Resources) -> AsyncIterator[None]:
    async with run_jobs(resources, concurrency=2, poll_seconds=0.05):
        yield


async def call(method: Any, *args: Any, **more: Any) -> Any:
    return await asyncio.to_thread(method, *args, **more)


async def keep(mem0: MemoryClient, text: str, user_id: str = "anna", **more: Any) -> str:
    added = await call(mem0.add, text, user_id=user_id, infer=False, **more)
    return str(added["results"][0]["id"])


async def enable(mem0: MemoryClient, **more: Any) -> None:
    await call(mem0.update_profile_settings, enabled=True, **{"schema": SCHEMA, **more})


async def ended(mem0: MemoryClient, started: dict[str, Any]) -> dict[str, Any]:
    """As mem0's users do it: asked again until it is done."""
    for _ in range(400):
        job: dict[str, Any] = (await call(mem0.get_profile_job, started["status_url"]))["job"]
        if job["status"] not in ("pending", "running"):
            return job
        await asyncio.sleep(0.05)
    raise AssertionError("the job never ended")


async def made(mem0: MemoryClient, user_id: str = "anna") -> dict[str, Any]:
    job = await ended(mem0, await call(mem0.generate_profile, user_id))
    assert job["status"] == "succeeded", job
    profile: dict[str, Any] = await call(mem0.get_profile, user_id)
    return profile


# ---------------------------------------------------------------- settings


async def test_they_are_off_until_a_project_switches_them_on(mem0: MemoryClient) -> None:
    await keep(mem0, "I live in Rome")
    assert (await call(mem0.get_profile_settings))["enabled"] is False
    profile = await call(mem0.get_profile, "anna")
    assert (profile["status"], profile["profile"], profile["entity_id"]) == ("not_enabled", {}, "anna")
    for asked in ((mem0.generate_profile, "anna"), (mem0.sample_profiles,)):
        with pytest.raises(ValidationError, match="disabled in this project"):
            await call(*asked)


async def test_settings_are_changed_one_by_one_and_taken_back_with_null(mem0: MemoryClient) -> None:
    await enable(mem0, custom_instructions="Be brief")
    settings = await call(mem0.update_profile_settings, custom_instructions=None)
    assert settings == await call(mem0.get_profile_settings)
    assert (settings["enabled"], settings["capabilities"]["language_model"]) == (True, False)
    assert settings["entities"] == {"user": {"schema": SCHEMA, "custom_instructions": None}}
    settings = await call(mem0.update_profile_settings, enabled=False, schema=None)
    assert settings["enabled"] is False
    assert settings["entities"]["user"]["schema"] is None


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({}, 'needs `?"properties"'),
        ({"type": "array"}, "must describe an object"),
        ({"properties": {}}, "at least one"),
        ({"properties": {"age": {"type": "integer"}}}, "needs a description. `age`"),
        ({"properties": {"age": {"type": "date", "description": "Age"}}}, "`age` has an unknown type"),
        ({"properties": {"a": {"type": "object", "description": "A", "properties": {"b": {}}}}}, "`a.b` has none"),
        ({"properties": {"a": {"description": "x" * 21_000}}}, "too long"),
        ({"properties": {"a": {"type": ["string", "date"], "description": "A"}}}, "`a` has an unknown type"),
        ({"properties": {"a": {"type": 7, "description": "A"}}}, "`a` has an unknown type"),
        ({"properties": {"a": {"type": [[]], "description": "A"}}}, "`a` has an unknown type"),
        ({"properties": {"a": {"items": {"type": {}}, "description": "A"}}}, "items of `a`"),
        ({"properties": {"a": {"items": [], "description": "A"}}}, "items of `a`"),
        ({"properties": {"a": {"enum": "red", "description": "A"}}}, "enum of `a`"),
        ({"properties": {"a\0": {"description": "A"}}}, "NUL"),
        ({"properties": {"a": {"type": "object", "properties": 7, "description": "A"}}}, 'needs `?"properties'),
    ],
)
async def test_a_schema_that_is_none_is_refused_with_the_reason(
    schema: dict[str, Any], complaint: str, mem0: MemoryClient
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        await call(mem0.update_profile_settings, schema=schema)
    assert (await call(mem0.get_profile_settings))["entities"]["user"]["schema"] is None


async def test_settings_of_another_shape_are_refused(key: KeyHolder) -> None:
    refused = await key.client.post("/v2/profiles/settings/", json={"enabled": True, "schema": SCHEMA})
    assert (refused.status_code, refused.json()["detail"].split(".")[0]) == (400, "Unsupported settings: schema")
    refused = await key.client.post("/v2/profiles/settings/", json={"entities": {"agent": {"schema": SCHEMA}}})
    assert refused.status_code == 400
    half = {"properties": {"a": {"description": "A \ud800"}}}
    body = json.dumps({"enabled": True, "entities": {"user": {"schema": half}}})
    refused = await key.client.post("/v2/profiles/settings/", content=body, headers=AS_JSON)
    assert (refused.status_code, "unpaired surrogate" in refused.json()["detail"]) == (400, True), refused.text
    assert (await key.client.get("/v2/profiles/settings/")).json()["enabled"] is False


async def test_a_property_may_be_of_one_type_or_null(mem0: MemoryClient, working: None) -> None:
    schema = {"properties": {"home_city": {"type": ["string", "null"], "description": "Where they live"}}}
    await enable(mem0, schema=schema)
    await keep(mem0, "I moved house last spring", metadata=CITY)
    assert (await made(mem0))["profile"] == CITY


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "nonsense", "entity_id": "anna"},
        {"operation": "trigger"},
        {"operation": "trigger", "entity_id": ""},
        {"operation": "trigger", "entity_id": "a\0"},
        {"operation": "trigger", "entity_id": "\ud800"},
        {"operation": "trigger", "entity_id": "anna", "entity_type": "agent"},
        {"operation": "sample", "limit": 0},
    ],
)
async def test_a_job_that_cannot_be_read_is_refused(body: dict[str, Any], key: KeyHolder) -> None:
    refused = await key.client.post("/v2/profiles/jobs/", content=json.dumps(body), headers=AS_JSON)
    assert refused.status_code == 400, refused.text
    assert isinstance(refused.json()["detail"], str)


# ---------------------------------------------------------------- making one


async def test_a_profile_is_made_of_what_is_remembered_and_says_how(mem0: MemoryClient, working: None) -> None:
    await enable(mem0)
    await keep(mem0, "I moved house last spring", metadata=CITY)
    await keep(mem0, "I love to drink green tea in the morning")
    started = await call(mem0.generate_profile, "anna")
    assert started["status_url"] == f"/v2/profiles/jobs/{started['job_id']}/"
    assert (started["operation"], started["entity_type"], started["entity_count_reserved"]) == ("trigger", "user", 1)
    assert started["replayed"] is False
    job = await ended(mem0, started)
    assert job == {
        **{"id": started["job_id"], "operation": "trigger", "entity_type": "user", "status": "succeeded"},
        **{"total": 1, "enumeration_complete": True, "completed": 1, "succeeded": 1, "failed": 0, "skipped": 0},
        "errors": [],
    }
    assert (await call(mem0.get_profile_job, started["job_id"]))["job"] == job
    profile = await call(mem0.get_profile, "anna")
    expected = {"home_city": "Rome", "drinks": ["I love to drink green tea in the morning"], "shoe_size": None}
    assert profile["profile"] == expected
    assert (profile["status"], profile["entity_type"], profile["entity_id"]) == ("succeeded", "user", "anna")
    assert (profile["generation_count"], profile["error"]) == (1, None)
    assert "No language model is configured" in profile["note"]
    assert (await made(mem0))["generation_count"] == 2


async def test_the_event_says_how_it_went(mem0: MemoryClient, key: KeyHolder, working: None) -> None:
    await enable(mem0)
    await keep(mem0, "I live in Rome", metadata=CITY)
    started = await call(mem0.generate_profile, "anna")
    await ended(mem0, started)
    event = (await key.client.get(f"/v1/event/{started['event_id']}/")).json()
    assert (event["event_type"], event["status"], event["error"]) == ("PROFILE", "SUCCEEDED", None)
    assert "Rome" not in str(event)


async def test_without_a_schema_there_is_one_property_for_each_category(mem0: MemoryClient, working: None) -> None:
    await enable(mem0, schema=None)
    await call(mem0.project.update, custom_categories=[{"drinks": "What they drink"}, {"space": "Rockets and planets"}])
    await keep(mem0, "I love to drink green tea in the morning")
    assert (await made(mem0))["profile"] == {"drinks": ["I love to drink green tea in the morning"], "space": None}


async def test_until_it_is_made_it_is_pending(mem0: MemoryClient, resources: Resources) -> None:
    await enable(mem0)
    await keep(mem0, "I live in Rome", metadata=CITY)
    assert (await call(mem0.get_profile, "anna"))["status"] == "insufficient_data"
    started = await call(mem0.generate_profile, "anna")
    assert started["status"] == "pending"
    assert (await call(mem0.get_profile, "anna"))["status"] == "pending"
    async with run_jobs(resources, concurrency=1, poll_seconds=0.05):
        await ended(mem0, started)
    assert (await call(mem0.get_profile, "anna"))["status"] == "succeeded"


async def test_of_whom_too_little_is_known_there_is_none(mem0: MemoryClient, key: KeyHolder, working: None) -> None:
    await enable(mem0)
    await key.client.post("/v1/users/", json={"user_id": "bert"})
    await keep(mem0, "The train is late")
    for user_id in ("bert", "anna"):
        job = await ended(mem0, await call(mem0.generate_profile, user_id))
        assert (job["status"], job["skipped"], job["succeeded"]) == ("succeeded", 1, 0)
        profile = await call(mem0.get_profile, user_id)
        assert (profile["status"], profile["profile"]) == ("insufficient_data", {})


async def test_nobody_of_that_name_is_not_found(mem0: MemoryClient) -> None:
    await enable(mem0)
    for asked in (mem0.get_profile, mem0.generate_profile):
        with pytest.raises(MemoryNotFoundError, match="no such user"):
            await call(asked, "nobody")
    with pytest.raises(MemoryNotFoundError):
        await call(mem0.get_profile_job, str(uuid.uuid4()))
    with pytest.raises(ValidationError, match="UUID"):
        await call(mem0.get_profile_job, "nonsense")


async def test_a_name_may_have_slashes(mem0: MemoryClient, working: None) -> None:
    await enable(mem0)
    await keep(mem0, "I live in Rome", "team/an na", metadata=CITY)
    assert (await made(mem0, "team/an na"))["profile"]["home_city"] == "Rome"


async def test_the_same_key_starts_nothing_twice(mem0: MemoryClient) -> None:
    await enable(mem0)
    await keep(mem0, "I live in Rome")
    await keep(mem0, "I live in Oslo", "bert")
    asked = [call(mem0.generate_profile, "anna", idempotency_key="k") for _ in range(4)]
    answers = await asyncio.gather(*asked)
    assert len({answer["job_id"] for answer in answers}) == 1
    assert sorted(answer["replayed"] for answer in answers) == [False, True, True, True]
    other = await call(mem0.generate_profile, "bert", idempotency_key="k")
    assert (other["replayed"], other["job_id"] == answers[0]["job_id"]) == (False, False)


# ---------------------------------------------------------------- a sample


async def test_a_sample_makes_and_keeps_a_few(mem0: MemoryClient, working: None) -> None:
    await enable(mem0)
    for user_id, count in (("anna", 3), ("bert", 2), ("cleo", 1)):
        for number in range(count):
            await keep(mem0, f"I live in Rome, house {number}", user_id, metadata=CITY)
    started = await call(mem0.sample_profiles, limit=2, idempotency_key="s")
    assert (started["sampled"], started["entity_ids"], started["event_id"]) == (2, ["anna", "bert"], None)
    job = await ended(mem0, started)
    assert (job["status"], job["total"], job["succeeded"]) == ("succeeded", 2, 2)
    for user_id, status in (("anna", "succeeded"), ("bert", "succeeded"), ("cleo", "insufficient_data")):
        assert (await call(mem0.get_profile, user_id))["status"] == status
    again = await call(mem0.sample_profiles, limit=2, idempotency_key="s")
    assert (again["job_id"], again["replayed"], again["status"]) == (started["job_id"], True, "succeeded")
    with pytest.raises(RateLimitError, match="One sample can be requested every") as refused:
        await call(mem0.sample_profiles)
    assert 1 <= refused.value.debug_info["retry_after"] <= 60


async def test_a_sample_of_nobody_is_done_at_once(mem0: MemoryClient) -> None:
    await enable(mem0)
    started = await call(mem0.sample_profiles)
    assert (started["status"], started["sampled"], started["entity_ids"]) == ("succeeded", 0, [])
    with pytest.raises(ValidationError, match="limit"):
        await call(mem0.sample_profiles, limit=11)


# ---------------------------------------------------------------- whose it is, and when it goes


async def test_a_profile_goes_with_any_memory_it_was_made_of(mem0: MemoryClient, working: None) -> None:
    await enable(mem0)
    secret = await keep(mem0, "I live in Rome", metadata=CITY)
    await keep(mem0, "I love to drink green tea in the morning")
    assert (await made(mem0))["profile"]["home_city"] == "Rome"
    await call(mem0.delete, secret)
    profile = await call(mem0.get_profile, "anna")
    assert (profile["status"], profile["profile"]) == ("insufficient_data", {})
    assert (await made(mem0))["profile"]["home_city"] is None


@pytest.mark.parametrize("erase", ["delete_all", "delete_users", "batch_delete"])
async def test_erasing_somebody_erases_their_profile(erase: str, mem0: MemoryClient, working: None) -> None:
    await enable(mem0)
    memory_id = await keep(mem0, "I live in Rome", metadata=CITY)
    await keep(mem0, "I live in Rome", "bert", metadata=CITY)
    await made(mem0), await made(mem0, "bert")
    asked: dict[str, Any] = {"user_id": "anna"}
    if erase == "batch_delete":
        await call(mem0.batch_delete, [{"memory_id": memory_id}])
    else:
        await call(getattr(mem0, erase), **asked)
    with pytest.raises(MemoryNotFoundError):
        await call(mem0.get_profile, "anna")
    await keep(mem0, "The train is late")
    assert (await call(mem0.get_profile, "anna"))["profile"] == {}
    assert (await call(mem0.get_profile, "bert"))["profile"]["home_city"] == "Rome"


async def test_switched_off_nothing_is_shown_nor_made(mem0: MemoryClient, resources: Resources) -> None:
    await enable(mem0)
    await keep(mem0, "I live in Rome", metadata=CITY)
    started = await call(mem0.generate_profile, "anna")
    await call(mem0.update_profile_settings, enabled=False)
    async with run_jobs(resources, concurrency=1, poll_seconds=0.05):
        job = await ended(mem0, started)
    assert (job["status"], job["failed"]) == ("failed", 1)
    assert job["errors"] == ["User profiles were disabled before this one was generated."]
    assert (await call(mem0.get_profile, "anna"))["status"] == "not_enabled"


async def test_the_profile_is_of_the_default_set_of_memories(mem0: MemoryClient, key: KeyHolder, working: None) -> None:
    await enable(mem0)
    await keep(mem0, "I live in Rome", metadata=CITY)
    work = (await key.client.post("/v1/profiles", json={"user_id": "anna", "name": "Work"})).json()["id"]
    await keep(mem0, "I work in Oslo", profile_id=work, metadata={"home_city": "Oslo"})
    assert (await made(mem0))["profile"]["home_city"] == "Rome"
    await key.client.post(f"/v1/profiles/{work}/default")
    assert (await call(mem0.get_profile, "anna"))["profile"] == {}
    assert (await made(mem0))["profile"]["home_city"] == "Oslo"
    await key.client.delete(f"/v1/profiles/{work}")
    assert (await call(mem0.get_profile, "anna"))["profile"]["home_city"] == "Rome"


async def test_another_project_sees_nothing_of_it(mem0: MemoryClient, sign_up: SignUp, working: None) -> None:
    await enable(mem0)
    await keep(mem0, "I live in Rome", metadata=CITY)
    started = await call(mem0.generate_profile, "anna")
    await ended(mem0, started)
    stranger = await sign_up()
    await stranger.client.post("/v2/profiles/settings/", json={"enabled": True})
    assert (await stranger.client.get("/v2/entities/user/anna/profile/")).status_code == 404
    assert (await stranger.client.get(started["status_url"])).status_code == 404


async def test_an_end_user_has_their_own_and_nobody_elses(
    mem0: MemoryClient, key: KeyHolder, sign_up: SignUp, working: None
) -> None:
    await enable(mem0)
    person = await sign_up()
    mine = str(person.account_id)
    member = {"email": person.email, "role": "USER"}
    assert (await key.client.post(f"/v1/projects/{key.project_id}/members", json=member)).status_code == 201
    person.client.headers["X-Project-Id"] = str(key.project_id)
    await keep(mem0, "I live in Rome", mine, metadata=CITY)
    await keep(mem0, "I live in Rome", "anna", metadata=CITY)
    job = (await call(mem0.generate_profile, "anna", idempotency_key="k"))["status_url"]
    ask = {"operation": "trigger", "entity_type": "user", "entity_id": mine}
    started = await person.client.post("/v2/profiles/jobs/", json=ask, headers={"Idempotency-Key": "k"})
    assert (started.status_code, started.json()["replayed"]) == (202, False)
    await ended(mem0, started.json())
    own = (await person.client.get(f"/v2/entities/user/{mine}/profile/")).json()
    assert own["profile"]["home_city"] == "Rome"
    assert (await person.client.get(started.json()["status_url"])).json()["job"]["succeeded"] == 1
    assert (await person.client.get("/v2/entities/user/anna/profile/")).status_code == 403
    assert (await person.client.get(job)).status_code == 404
    for refused in ({**ask, "entity_id": "anna"}, {"operation": "sample", "entity_type": "user"}):
        assert (await person.client.post("/v2/profiles/jobs/", json=refused)).status_code == 403
    assert (await person.client.post("/v2/profiles/settings/", json={"enabled": False})).status_code == 403
