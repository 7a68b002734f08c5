"""Extraction with a language model: a real server behind OpenAI's API, and a running worker."""

import asyncio
import datetime as dt
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from app.adapters.models.mem0 import Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.chat.usage.usage import read_usage
from app.core.errors import Unavailable
from app.core.ports import Embedder, Extraction, ExtractionRequest, Purpose, Vector
from app.core.resources import Resources
from app.memory.extraction import run_extraction
from app.memory.extraction.extract import MAX_CONTEXT_CHARACTERS
from app.memory.ledger import MemoryEvent
from app.memory.ledger.run_event import MAX_ATTEMPTS, UNREACHABLE
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.remember import Conversation, queue_extraction
from app.worker import run_jobs
from tests.memory.extraction.conversations import queue_messages
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    execute_sql_as_system,
    load_event,
    load_history,
    new_project,
    search,
    wait_until_ended,
    wait_until_indexed,
)
from tests.model_server import Behaviour, Drops, Facts, Fails, Hangs, Held, ModelServer, Raw, Refuses, Says
from tests.patience import PATIENCE_SECONDS


@dataclass
class BrokenExtractor:
    error: Exception
    name = "broken"

    async def extract(self, request: ExtractionRequest) -> Extraction:
        raise self.error

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class UnavailableEmbedder:
    embedder: Embedder

    def __post_init__(self) -> None:
        self.name, self.dimensions = self.embedder.name, self.embedder.dimensions

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        raise Unavailable("The embedder is unavailable")

    async def close(self) -> None:
        """Nothing is held."""


JOB = "select status, attempts, scheduled_at, args from jobs.procrastinate_jobs where task_name = 'memory.extract'"
RUN_NOW = "update jobs.procrastinate_jobs set scheduled_at = now() where status = 'todo' and args ->> 'event_id' = :id"
RUN_LATER = RUN_NOW.replace("now()", "now() + interval '1 hour'")


@asynccontextmanager
async def extracting(resources: Resources, model_server: ModelServer, **limits: Any) -> AsyncIterator[Resources]:
    connection = Connection(base_url=model_server.url, tries=1, **limits)
    extractor = Mem0Extractor(OpenAIExtractionModel(OpenAIModel(connection, model="any")))
    yield replace(resources, extractor=extractor)
    await extractor.close()


@pytest_asyncio.fixture
async def extraction_resources(own_resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    async with extracting(own_resources, model_server) as extraction_resources:
        yield extraction_resources


@pytest_asyncio.fixture
async def ann(own_resources: Resources) -> Namespace:
    return await create_namespace(own_resources, await new_project(own_resources))


@asynccontextmanager
async def running_worker(resources: Resources) -> AsyncIterator[None]:
    async with run_jobs(resources, concurrency=4, poll_seconds=0.05):
        yield


async def extract_now(resources: Resources, namespace: Namespace, *words: str, **values: Any) -> MemoryEvent:
    event_id = await queue_messages(resources, namespace, *words, **values)
    async with running_worker(resources):
        return await wait_until_ended(resources, namespace, event_id)


async def wait_for_retry(resources: Resources, namespace: Namespace, event_id: UUID) -> float:
    """Wait until an attempt has failed. Returns the seconds until the next one."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            rows = [row for row in await execute_sql_as_system(resources, JOB) if row.args["event_id"] == str(event_id)]
            if rows and rows[0].attempts and rows[0].status == "todo":
                moment: dt.datetime = rows[0].scheduled_at
                return (moment - dt.datetime.now(dt.UTC)).total_seconds()
            await asyncio.sleep(0.02)


# ---------------------------------------------------------------- results and failures


async def test_facts_become_memories_with_the_attributes_of_the_request(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Facts("User likes green tea", "User lives in Köln"))
    said_at = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    event = await extract_now(
        extraction_resources,
        ann,
        "I like green tea and live in Köln",
        origin=Origin(run_id="r"),
        metadata={"a": 1, "importance": 0.25},
        said_at=said_at,
        immutable=True,
    )
    assert event.status == "SUCCEEDED"
    assert (event.messages, event.error, event.note) == (None, None, None)
    assert [each["event"] for each in event.results] == ["ADD", "ADD"]
    found = await search(extraction_resources, ann, "green tea")
    assert sorted(contents(found)) == ["User likes green tea", "User lives in Köln"]
    memory = found[0].memory
    assert (memory.run_id, memory.metadata_["a"], memory.immutable) == ("r", 1, True)
    assert memory.importance == 0.25
    assert memory.created_at == said_at
    assert str(memory.id) in {each["id"] for each in event.results}
    assert (await load_history(extraction_resources, ann, memory.id))[0].input == [
        {"role": "user", "content": "I like green tea and live in Köln"}
    ]


async def test_tokens_are_counted_for_the_project(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Raw("prose"), Facts("User likes tea"))
    assert (await extract_now(extraction_resources, ann, "I like tea")).status == "SUCCEEDED"
    async with extraction_resources.database.transaction(ann.project_id) as tx:
        spent = await read_usage(tx, ann.project_id)
    assert (spent["prompt_tokens"], spent["turns"]) == (22, 0), "two requests"
    assert spent["completion_tokens"]


async def test_facts_in_a_code_fence_are_read(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Facts("User likes tea", fenced=True))
    assert (await extract_now(extraction_resources, ann, "I like tea")).status == "SUCCEEDED"
    assert contents(await search(extraction_resources, ann, "tea")) == ["User likes tea"]


async def test_context_of_a_fact_is_bounded_and_contains_whole_messages(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Facts("User likes tea"))
    about_tea = "I like tea, and so does the user of this long message. " * 180
    too_long = f"User likes tea {'y' * MAX_CONTEXT_CHARACTERS}"
    words = ["x" * 900, about_tea, *(f"{number} {'x' * 900}" for number in range(30)), too_long, "Do you like tea?"]
    await extract_now(extraction_resources, ann, *words)
    [found] = await search(extraction_resources, ann, "tea")
    lines = (found.memory.context or "").split("\n")
    assert len(found.memory.context or "") < 1.01 * MAX_CONTEXT_CHARACTERS
    assert [each for each in words if each in lines] == lines
    assert about_tea in lines
    assert lines[-1] == "Do you like tea?"
    assert too_long not in lines


async def test_blank_facts_of_a_model_are_not_stored(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Facts("User likes tea", " \u200b", "\u2060"))
    event = await extract_now(extraction_resources, ann, "I like tea")
    assert (event.status, len(event.results)) == ("SUCCEEDED", 1)


async def test_no_facts_is_a_success_without_results(extraction_resources: Resources, ann: Namespace) -> None:
    event = await extract_now(extraction_resources, ann, "Hello!")
    assert (event.status, event.results, event.error) == ("SUCCEEDED", [], None)


@pytest.mark.parametrize(
    "behaviour",
    [Raw("User likes tea"), Raw('{"memory": [{"text"'), Raw('{"facts": "tea"}'), Raw("[]"), Refuses(), Says()],
    ids=["prose", "cut off", "another shape", "a list", "refusal", "silence"],
)
async def test_unusable_answer_is_a_failure_with_a_reason(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer, behaviour: Behaviour
) -> None:
    model_server.always(behaviour, extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    async with running_worker(extraction_resources):
        event = await run_without_delay(extraction_resources, ann, event_id)
    assert event.status == "FAILED"
    assert event.error
    assert "tea" not in event.error
    assert (event.results, event.messages) == ([], [{"role": "user", "content": "I like tea"}])
    assert await search(extraction_resources, ann, "tea") == []


async def wait_for_request(model_server: ModelServer) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if model_server.extractions:
                return
            await asyncio.sleep(0.01)


async def wait_for_job(resources: Resources, event_id: UUID) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            rows = [row for row in await execute_sql_as_system(resources, JOB) if row.args["event_id"] == str(event_id)]
            if all(row.status == "succeeded" for row in rows):
                return
            await asyncio.sleep(0.02)


async def run_without_delay(resources: Resources, namespace: Namespace, event_id: UUID) -> MemoryEvent:
    """Run every further attempt at once, until the event has ended."""
    ending = asyncio.create_task(wait_until_ended(resources, namespace, event_id))
    while not ending.done():
        await execute_sql_as_system(resources, RUN_NOW, id=str(event_id))
        await asyncio.sleep(0.02)
    return await ending


@pytest.mark.parametrize("behaviour", [Fails(500), Hangs(), Drops(), Fails(429, retry_after="1")], ids=str)
async def test_transient_failures_are_retried(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer, behaviour: Behaviour
) -> None:
    model_server.extraction(behaviour, Facts("User likes tea"))
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    async with (
        extracting(extraction_resources, model_server, timeout_seconds=1) as impatient,
        running_worker(impatient),
    ):
        assert await wait_for_retry(extraction_resources, ann, event_id) < 20
        assert (await load_event(extraction_resources, ann, event_id)).status == "RUNNING"
    async with running_worker(extraction_resources):
        event = await run_without_delay(extraction_resources, ann, event_id)
    assert event.status == "SUCCEEDED"
    assert contents(await search(extraction_resources, ann, "tea")) == ["User likes tea"]
    assert len(model_server.extractions) == 2


async def test_retry_respects_retry_after_of_the_model(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(429, retry_after="300"))
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    async with running_worker(extraction_resources):
        assert 280 < await wait_for_retry(extraction_resources, ann, event_id) < 330


async def test_attempts_are_limited_and_the_event_has_a_reason(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Fails(429, retry_after="20"), extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    async with running_worker(extraction_resources):
        event = await run_without_delay(extraction_resources, ann, event_id)
    assert event.status == "FAILED"
    assert event.error
    assert len(model_server.extractions) == MAX_ATTEMPTS + 1


# ---------------------------------------------------------------- duplicates


async def test_known_fact_is_reported_as_none(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    same, alike = await add_memories(extraction_resources, ann, "User likes green tea", "User lives in Köln")
    model_server.extraction(Facts("User likes green tea", "User lives in Köln.", "User plays chess"))
    event = await extract_now(extraction_resources, ann, "I like green tea, live in Köln and play chess")
    outcome = {each["id"]: each["event"] for each in event.results}
    assert {outcome[str(same)], outcome[str(alike)]} == {"NONE"}
    assert sorted(outcome.values()) == ["ADD", "NONE", "NONE"]
    assert len(await search(extraction_resources, ann, "User")) == 3
    assert [each.event for each in await load_history(extraction_resources, ann, same)] == ["ADD", "REPEAT"]


async def test_fact_repeated_in_one_answer_is_stored_once(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Facts("User likes tea", "User likes tea"))
    await extract_now(extraction_resources, ann, "Tea, tea")
    assert contents(await search(extraction_resources, ann, "tea")) == ["User likes tea"]


# ---------------------------------------------------------------- order and repetition


async def test_extractions_of_a_namespace_run_one_at_a_time_in_order(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    """Their metadata differ, so that they are not read together."""
    model_server.always(Says('{"mem', 'ory": []}', delay=0.03), extraction=True)
    ids = [await queue_messages(extraction_resources, ann, f"Sentence number {n}", metadata={"n": n}) for n in range(5)]
    async with running_worker(extraction_resources):
        events = [await wait_until_ended(extraction_resources, ann, each) for each in ids]
    spans = [(each.started_at, each.completed_at) for each in events]
    assert all(one[1] <= other[0] for one, other in pairwise(spans) if one[1] and other[0])
    prompts = [str(body["messages"]) for body in model_server.extractions]
    assert [f"Sentence number {n}" in words for n, words in enumerate(prompts)] == [True] * 5


async def test_failed_attempt_is_not_overtaken_by_later_messages(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(500))
    first = await queue_messages(extraction_resources, ann, "I moved to Rome")
    second = await queue_messages(extraction_resources, ann, "I moved to Oslo", metadata={"second": True})
    async with running_worker(extraction_resources):
        await wait_for_retry(extraction_resources, ann, first)
        await execute_sql_as_system(extraction_resources, RUN_LATER, id=str(first))
        await asyncio.sleep(0.3)
        assert (await load_event(extraction_resources, ann, second)).status == "PENDING"
        await run_without_delay(extraction_resources, ann, first)
        await run_without_delay(extraction_resources, ann, second)
    assert ["Rome" in str(body["messages"]) for body in model_server.extractions] == [True, True, False]


async def test_namespaces_do_not_block_each_other(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    ben = await create_namespace(extraction_resources, ann.project_id, "ben")
    model_server.extraction(Fails(429, retry_after="300"))
    waiting = await queue_messages(extraction_resources, ann, "I like tea")
    async with running_worker(extraction_resources):
        await wait_for_retry(extraction_resources, ann, waiting)
        assert (
            await wait_until_ended(
                extraction_resources, ben, await queue_messages(extraction_resources, ben, "I like tea")
            )
        ).status == "SUCCEEDED"


async def test_job_of_a_dead_worker_runs_again_and_stores_facts_once(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Facts("User likes tea"), extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    await execute_sql_as_system(
        extraction_resources,
        "update jobs.procrastinate_jobs set status = 'doing' where args ->> 'event_id' = :id",
        id=str(event_id),
    )
    async with running_worker(extraction_resources):
        assert (await wait_until_ended(extraction_resources, ann, event_id)).status == "SUCCEEDED"
    assert contents(await search(extraction_resources, ann, "tea")) == ["User likes tea"]
    assert len(model_server.extractions) == 1


async def test_finished_job_that_runs_again_does_nothing(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Facts("User likes tea"))
    event = await extract_now(extraction_resources, ann, "I like tea")
    await run_extraction(extraction_resources, ann.project_id, event.id, 0)
    assert len(model_server.extractions) == 1
    assert (await load_event(extraction_resources, ann, event.id)).results == event.results


async def test_deleted_event_leaves_no_memories(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    deleted = threading.Event()
    model_server.always(Held(deleted, Facts("User likes tea")), extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    async with running_worker(extraction_resources):
        await wait_for_request(model_server)
        await execute_sql(extraction_resources, ann, "delete from events where id = :id", id=event_id)
        deleted.set()
        await wait_for_job(extraction_resources, event_id)
    assert (await wait_until_indexed(extraction_resources, ann)) is not None
    assert await search(extraction_resources, ann, "tea") == []


async def test_messages_and_job_are_written_in_one_transaction(extraction_resources: Resources, ann: Namespace) -> None:
    with pytest.raises(ZeroDivisionError):
        await queue_and_fail(extraction_resources, ann)
    jobs = [
        row
        for row in await execute_sql_as_system(extraction_resources, JOB)
        if row.args["project_id"] == str(ann.project_id)
    ]
    assert jobs == []


async def queue_and_fail(resources: Resources, namespace: Namespace) -> None:
    async with resources.database.transaction(namespace.project_id) as tx:
        await queue_extraction(tx, namespace, Conversation([{"role": "user", "content": "I like tea"}]))
        raise ZeroDivisionError


async def test_event_notes_that_no_model_is_configured(own_resources: Resources, ann: Namespace) -> None:
    event = await extract_now(own_resources, ann, "I live in Köln. What about you?")
    assert event.status == "SUCCEEDED"
    assert event.note
    assert "No language model" in event.note
    assert contents(await search(own_resources, ann, "Köln")) == ["I live in Köln."]


async def test_unexpected_exception_fails_the_event(extraction_resources: Resources, ann: Namespace) -> None:
    broken = replace(extraction_resources, extractor=BrokenExtractor(KeyError("broken")))
    event = await extract_now(broken, ann, "I like tea")
    assert event.status == "FAILED"
    assert event.error


async def test_extraction_waits_for_an_unavailable_embedder(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Facts("User likes tea"), extraction=True)
    broken = replace(extraction_resources, embedder=UnavailableEmbedder(extraction_resources.embedder))
    event_id = await queue_messages(broken, ann, "I like tea")
    async with running_worker(broken):
        await wait_for_retry(broken, ann, event_id)
    async with running_worker(extraction_resources):
        assert (await run_without_delay(extraction_resources, ann, event_id)).status == "SUCCEEDED"


async def test_last_attempt_that_reaches_nothing_fails_the_event(
    extraction_resources: Resources, ann: Namespace
) -> None:
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    broken = replace(extraction_resources, extractor=BrokenExtractor(OSError("connection refused")))
    with pytest.raises(OSError, match="refused"):
        await run_extraction(broken, ann.project_id, event_id, MAX_ATTEMPTS - 1)
    assert (await load_event(extraction_resources, ann, event_id)).status == "RUNNING"
    await run_extraction(broken, ann.project_id, event_id, MAX_ATTEMPTS)
    event = await load_event(extraction_resources, ann, event_id)
    assert (event.status, event.error) == ("FAILED", UNREACHABLE)
    assert event.messages == [{"role": "user", "content": "I like tea"}], "nothing was made of them"


async def test_extraction_fails_with_the_reason_once_the_budget_of_the_server_is_used(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Facts("Ann likes tea"), extraction=True)
    assert (await extract_now(extraction_resources, ann, "I like tea")).status == "SUCCEEDED"
    asked = len(model_server.requests)
    resources = replace(extraction_resources, config=replace(extraction_resources.config, server_token_budget=1))
    event = await extract_now(resources, ann, "I like coffee")
    assert (event.status, len(model_server.requests)) == ("FAILED", asked)
    assert "This server has used 1 tokens, its budget of this month." in str(event.error)
