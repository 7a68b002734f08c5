"""Categories are assigned after the write, by similarity or by a model, from the call's, project's or default list."""

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.adapters.models.openai import Connection, OpenAIModel
from app.core.database.database import Database
from app.core.resources import Resources
from app.memory.categories import categorize_memories
from app.memory.categories.taxonomy import (
    DEFAULT_CATEGORIES,
    build_prompt,
    choose_by_similarity,
    parse_answer,
    parse_categories,
)
from app.projects.repository import SettingsRepository
from tests.model_server import Fails, ModelServer, Raw

NAMES = [each.name for each in DEFAULT_CATEGORIES]


async def add(client: httpx.AsyncClient, *texts: str) -> list[str]:
    wanted = {"messages": [{"role": "user", "content": each} for each in texts], "user_id": "anna", "infer": False}
    return [each["id"] for each in (await client.post("/v3/memories/add/", json=wanted)).json()["results"]]


async def categories(client: httpx.AsyncClient, memory: str) -> Any:
    return (await client.get(f"/v1/memories/{memory}/")).json()["categories"]


async def settle(resources: Resources, project_id: uuid.UUID) -> None:
    await resources.index_queue.wait_until_indexed(project_id, None)


def test_default_categories_are_mem0s_fifteen() -> None:
    assert len(DEFAULT_CATEGORIES) == 15
    assert {"personal_details", "professional_details", "milestones", "user_preferences", "misc"} <= set(NAMES)


def test_project_categories_replace_the_defaults() -> None:
    assert [each.name for each in parse_categories(["a", {"b": "bees"}])] == ["a", "b"]
    no_categories: tuple[object, ...] = (None, [], "food")
    for nothing in no_categories:
        assert parse_categories(nothing) == DEFAULT_CATEGORIES


def test_memory_similar_to_no_category_is_misc_if_misc_exists() -> None:
    assert choose_by_similarity({"food": 0.1}, DEFAULT_CATEGORIES) == ["misc"]
    assert choose_by_similarity({"food": 0.1}, parse_categories(["food"])) == []
    assert choose_by_similarity({"food": 0.6, "travel": 0.58, "music": 0.4}, DEFAULT_CATEGORIES) == ["food", "travel"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"1": ["food"], "2": ["travel", "food"]}', [["food"], ["travel", "food"]]),
        ('```json\n{"1": "Food", "2": [" TRAVEL "]}\n```', [["food"], ["travel"]]),
        ('{"1": ["food", "nonsense"], "2": ["nonsense"]}', [["food"], None]),
        ("I would say food", [None, None]),
        ('{"1": 7, "3": ["food"]}', [None, None]),
        ('["food"]', [None, None]),
        ("", [None, None]),
    ],
)
def test_parse_answer_keeps_only_known_categories(answer: str, expected: list[list[str] | None]) -> None:
    assert parse_answer(answer, DEFAULT_CATEGORIES, 2) == expected


def test_prompt_lists_every_category_and_the_memories_as_data() -> None:
    task, given = build_prompt(parse_categories([{"food": "what they eat"}]), ["Ignore this", "Likes tea"])
    assert "- food: food: what they eat" in task
    assert json.loads(given) == {"1": "Ignore this", "2": "Likes tea"}


async def test_memory_is_categorized_by_similarity_after_it_is_indexed(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    eaten, played, named = (
        "I had soup in a small restaurant",
        "I play tennis every Saturday",
        "The meeting code is blue",
    )
    soup, tennis, other = await add(client, eaten, played, named)
    assert await categories(client, soup) is None
    await settle(resources, project_id)
    assert await categorize_memories(resources, project_id) == 3
    assert await categories(client, soup) == ["food"]
    assert await categories(client, tennis) == ["sports"]
    assert await categories(client, other) == ["misc"]


async def test_categorization_uses_the_categories_of_the_project(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID, database: Database
) -> None:
    async with database.transaction(project_id) as tx:
        given = [{"drinks": "tea, coffee and other things to drink"}, "cars"]
        await SettingsRepository(tx, project_id).change(custom_categories=given)
    [tea, nothing] = await add(client, "I like tea", "The meeting code is blue")
    await settle(resources, project_id)
    await categorize_memories(resources, project_id)
    assert await categories(client, tea) == ["drinks"]
    assert await categories(client, nothing) == []


async def test_categories_of_a_call_override_those_of_the_project(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID, database: Database
) -> None:
    async with database.transaction(project_id) as tx:
        await SettingsRepository(tx, project_id).change(custom_categories=["cars"])
    called = {"infer": False, "custom_categories": [{"drinks": "tea and coffee"}], "user_id": "alice"}
    added = (await client.post("/v3/memories/add/", json={"messages": "I like tea", **called})).json()
    tea = added["results"][0]["id"]
    await settle(resources, project_id)
    await categorize_memories(resources, project_id)
    assert await categories(client, tea) == ["drinks"]


async def test_many_added_memories_queue_one_job(
    client: httpx.AsyncClient, project_id: uuid.UUID, database: Database
) -> None:
    for number in range(5):
        await add(client, f"I like tea number {number}")
    assert await count_jobs(database, project_id) == 1


async def count_jobs(database: Database, project_id: uuid.UUID) -> int:
    jobs = text("select count(*) from jobs.procrastinate_jobs where queueing_lock = :lock and status = 'todo'")
    async with database.system() as tx:
        return int(await tx.scalar(jobs, {"lock": f"categorize:{project_id}"}) or 0)


async def start_job(database: Database, project_id: uuid.UUID) -> None:
    """Takes the waiting job out of the queue, as a worker does that starts it."""
    async with database.system() as tx:
        started = text("delete from jobs.procrastinate_jobs where queueing_lock = :lock and status = 'todo'")
        await tx.execute(started, {"lock": f"categorize:{project_id}"})


async def test_another_job_is_queued_only_while_memories_wait_for_categories(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID, model_server: ModelServer
) -> None:
    own = with_model(resources, model_server)
    await add(client, "My aunt likes tea")
    for answer, jobs in (("Sure! Here you go", 1), ('{"1": ["food"]}', 0)):
        await start_job(own.database, project_id)
        await make_due(own, project_id)
        model_server.chat(Raw(answer))
        await categorize_memories(own, project_id)
        assert await count_jobs(own.database, project_id) == jobs
    await own.llm.close()


def with_model(resources: Resources, server: ModelServer) -> Resources:
    return replace(resources, llm=OpenAIModel(Connection(base_url=server.url), model="any"))


async def test_categorization_asks_the_model_if_there_is_one(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID, model_server: ModelServer
) -> None:
    own = with_model(resources, model_server)
    model_server.chat(Raw('{"1": ["family", "food"]}'))
    [tea] = await add(client, "My aunt likes tea")
    assert await categorize_memories(own, project_id) == 1
    assert await categories(client, tea) == ["family", "food"]
    await own.llm.close()


async def test_categorization_waits_while_the_model_is_away(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID, model_server: ModelServer
) -> None:
    """No try of the memory is used up. After so many, it would never get its categories."""
    connection = Connection(base_url=model_server.url, tries=1, rest_seconds=0.1)
    own = replace(resources, llm=OpenAIModel(connection, model="any"))
    [tea] = await add(client, "My aunt likes tea")
    model_server.always(Fails(503))
    for _ in range(5):
        await categorize_memories(own, project_id)
        await make_due(resources, project_id)
    before = await tries_of(resources, project_id)
    for _ in range(5):
        await categorize_memories(own, project_id)
        await make_due(resources, project_id)
    assert await tries_of(resources, project_id) == before
    await asyncio.sleep(0.1)
    model_server.chat(Raw('{"1": ["food"]}'))
    assert await categorize_memories(own, project_id) == 1
    assert await categories(client, tea) == ["food"]
    await own.llm.close()


async def make_due(resources: Resources, project_id: uuid.UUID) -> None:
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(text("update memories set categorize_after = null"))


async def tries_of(resources: Resources, project_id: uuid.UUID) -> int:
    async with resources.database.transaction(project_id) as tx:
        return int(await tx.scalar(text("select categorize_tries from memories")) or 0)


@pytest.mark.parametrize("behaviour", [Raw("Sure! Here you go"), Raw('{"1": ["moon"]}'), Fails(400)])
async def test_unusable_answer_is_asked_again_later(
    behaviour: Any, client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID, model_server: ModelServer
) -> None:
    own = with_model(resources, model_server)
    model_server.chat(behaviour)
    [tea] = await add(client, "I like tea")
    assert await categorize_memories(own, project_id) == 0
    assert await categories(client, tea) is None
    asked = len(model_server.requests)
    assert await categorize_memories(own, project_id) == 0
    assert len(model_server.requests) == asked, "not at once"
    async with own.database.transaction(project_id) as tx:
        await tx.execute(text("update memories set categorize_after = now()"))
    model_server.chat(Raw('{"1": ["food"]}'))
    assert await categorize_memories(own, project_id) == 1
    assert await categories(client, tea) == ["food"]
    await own.llm.close()


async def test_memory_stays_uncategorized_after_the_last_try(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID, model_server: ModelServer
) -> None:
    own = with_model(resources, model_server)
    [tea] = await add(client, "I like tea")
    for _ in range(7):
        await categorize_memories(own, project_id)
        async with own.database.transaction(project_id) as tx:
            await tx.execute(text("update memories set categorize_after = now()"))
    assert len(model_server.requests) == 6
    assert await categories(client, tea) is None
    await own.llm.close()
