"""How soon extraction follows, when the model answers at once."""

import asyncio
import datetime as dt
import json
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from app.adapters.models.mem0 import Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.memory.extraction.extract import MAX_BYTES
from app.memory.ledger import CallInstructions, MemoryEvent
from app.memory.ledger.run_event import begin_events
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.worker import run_jobs
from tests.memory.extraction.conversations import queue_messages
from tests.memory.namespaces import (
    contents,
    create_namespace,
    execute_sql,
    execute_sql_as_system,
    load_history,
    load_memory,
    new_project,
    search,
    wait_until_ended,
)
from tests.model_server import Facts, Held, ModelServer, Raw, Says
from tests.patience import PATIENCE_SECONDS


@pytest_asyncio.fixture
async def extraction_resources(own_resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    extractor = Mem0Extractor(OpenAIExtractionModel(OpenAIModel(Connection(base_url=model_server.url), model="any")))
    yield replace(own_resources, extractor=extractor)
    await extractor.close()


@pytest_asyncio.fixture
async def ann(own_resources: Resources) -> Namespace:
    return await create_namespace(own_resources, await new_project(own_resources))


async def test_finished_extraction_wakes_the_next_one_of_its_namespace(
    extraction_resources: Resources, ann: Namespace
) -> None:
    """The worker polls once a minute here. The metadata differ, so that each event is read alone."""
    async with run_jobs(extraction_resources, concurrency=4, poll_seconds=60):
        events = [
            await queue_messages(extraction_resources, ann, f"Sentence {number}", metadata={"number": number})
            for number in range(12)
        ]
        await asyncio.gather(*(wait_until_ended(extraction_resources, ann, each) for each in events))


# ---------------------------------------------------------------- several events together


def answer_by_source(**facts: str) -> Says:
    """Facts with the number of the conversation, as `0="User likes tea"`, written `_0` because of Python's syntax."""
    memory = [{"text": text, "source": int(number.strip("_"))} for number, text in facts.items()]
    return Raw(json.dumps({"memory": memory}))


async def queue_all(resources: Resources, namespace: Namespace, *words: str, **values: Any) -> list[UUID]:
    return [await queue_messages(resources, namespace, each, **values) for each in words]


async def run_all(resources: Resources, namespace: Namespace, event_ids: Sequence[UUID]) -> list[MemoryEvent]:
    async with run_jobs(resources, concurrency=4, poll_seconds=60):
        return [await wait_until_ended(resources, namespace, each) for each in event_ids]


async def texts_of(resources: Resources, namespace: Namespace, event: MemoryEvent) -> list[str]:
    memories = [await load_memory(resources, namespace, UUID(result["id"])) for result in event.results]
    return [memory.content for memory in memories if memory]


async def test_waiting_events_of_a_namespace_are_read_in_one_request(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    ids = await queue_all(extraction_resources, ann, "I like tea", "Hello!", "I live in Rome", metadata={"a": 1})
    model_server.extraction(answer_by_source(_2="User lives in Rome", _0="User likes tea"))
    tea, hello, rome = await run_all(extraction_resources, ann, ids)
    assert len(model_server.extractions) == 1
    prompt = str(model_server.extractions[0]["messages"])
    assert 0 < prompt.index("[0] I like tea") < prompt.index("[1] Hello!") < prompt.index("[2] I live in Rome")
    assert await texts_of(extraction_resources, ann, tea) == ["User likes tea"]
    assert (hello.status, hello.results, hello.messages) == ("SUCCEEDED", [], None)
    assert await texts_of(extraction_resources, ann, rome) == ["User lives in Rome"]
    memory = await load_memory(extraction_resources, ann, UUID(rome.results[0]["id"]))
    assert memory
    assert (memory.event_id, memory.context, memory.metadata_) == (rome.id, "I live in Rome", {"a": 1})
    assert (await load_history(extraction_resources, ann, memory.id))[0].input == [
        {"role": "user", "content": "I live in Rome"}
    ]
    assert await count_jobs(extraction_resources, ann) == 0


async def test_fact_without_a_source_goes_to_the_event_with_the_most_similar_message(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    ids = await queue_all(extraction_resources, ann, "My dog is called Bello", "I work as a nurse in Oslo")
    model_server.extraction(Facts("User works as a nurse in Oslo", "User's dog is called Bello"))
    dog, nurse = await run_all(extraction_resources, ann, ids)
    assert await texts_of(extraction_resources, ann, dog) == ["User's dog is called Bello"]
    assert await texts_of(extraction_resources, ann, nurse) == ["User works as a nurse in Oslo"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"metadata": {"a": 1}}, {"metadata": {"a": 2}}),
        ({"origin": Origin(run_id="r")}, {"origin": Origin(run_id="s")}),
        ({"origin": Origin(agent_id="r")}, {}),
        ({"instructions": CallInstructions(includes="tea")}, {}),
        ({"expires_on": dt.date(2999, 1, 1)}, {}),
        ({"immutable": True}, {}),
        ({"categories": [{"sports": "Sports"}]}, {}),
        ({"said_at": dt.datetime(2024, 5, 1, tzinfo=dt.UTC)}, {"said_at": dt.datetime(2024, 5, 2, tzinfo=dt.UTC)}),
        ({}, {"content": "x" * MAX_BYTES}),
    ],
    ids=lambda values: ",".join(values),
)
async def test_events_with_different_attributes_are_read_one_after_the_other(
    first: dict[str, Any],
    second: dict[str, Any],
    extraction_resources: Resources,
    ann: Namespace,
    model_server: ModelServer,
) -> None:
    """The third event is like the first one, and does not overtake the second."""
    ids = [
        await queue_messages(extraction_resources, ann, values.pop("content", f"Sentence {number}"), **values)
        for number, values in enumerate([{**first}, {**second}, {**first}])
    ]
    events = await run_all(extraction_resources, ann, ids)
    assert [event.status for event in events] == ["SUCCEEDED"] * 3
    assert len(model_server.extractions) == 3
    ends = [event.completed_at for event in events]
    assert ends == sorted(filter(None, ends))


async def test_unusable_answer_for_several_events_fails_the_first_one_only(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    ids = await queue_all(extraction_resources, ann, "I like tea", "I live in Rome")
    model_server.extraction(*[Raw("prose")] * 4, Facts("User lives in Rome"))
    tea, rome = await run_all(extraction_resources, ann, ids)
    assert (tea.status, rome.status) == ("FAILED", "SUCCEEDED")
    assert tea.messages == [{"role": "user", "content": "I like tea"}]
    assert await texts_of(extraction_resources, ann, rome) == ["User lives in Rome"]


async def test_event_that_is_deleted_while_it_is_read_with_others_leaves_nothing(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    deleted = threading.Event()
    tea, rome = await queue_all(extraction_resources, ann, "I like tea", "I live in Rome")
    model_server.extraction(Held(deleted, answer_by_source(_0="User likes tea", _1="User lives in Rome")))
    model_server.always(Facts("User lives in Rome"), extraction=True)
    async with run_jobs(extraction_resources, concurrency=4, poll_seconds=0.1):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not model_server.extractions:  # noqa: ASYNC110  # what is waited for happens in another thread
                await asyncio.sleep(0.01)
        await execute_sql(extraction_resources, ann, "delete from events where id = :id", id=tea)
        deleted.set()
        event = await wait_until_ended(extraction_resources, ann, rome)
    assert await texts_of(extraction_resources, ann, event) == ["User lives in Rome"]
    assert contents(await search(extraction_resources, ann, "tea")) == ["User lives in Rome"]


async def test_events_that_a_dead_worker_read_together_are_read_again_and_stored_once(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    ids = await queue_all(extraction_resources, ann, "I like tea", "I live in Rome")
    await begin_events(extraction_resources.database, ann.project_id, ids[0], most=2, max_bytes=MAX_BYTES)
    model_server.always(answer_by_source(_0="User likes tea", _1="User lives in Rome"), extraction=True)
    events = await run_all(extraction_resources, ann, ids)
    assert [await texts_of(extraction_resources, ann, event) for event in events] == [
        ["User likes tea"],
        ["User lives in Rome"],
    ]
    assert len(model_server.extractions) == 1


async def count_jobs(resources: Resources, namespace: Namespace) -> int:
    sql = "select count(*) from jobs.procrastinate_jobs where lock = :lock and status in ('todo', 'doing')"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while count := int((await execute_sql_as_system(resources, sql, lock=f"memory:{namespace}"))[0][0]):
            if count > 1:
                break
            await asyncio.sleep(0.02)
    return count
