"""The language model is away for a while: events wait, their words are findable, and nothing is doubled afterwards."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text

from app.adapters.models.mem0 import Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.errors import Conflict, ExtractionFailed, Postponed
from app.core.resources import Resources
from app.memory.copy_profile import copy_memories
from app.memory.edit import Owner, change_memory
from app.memory.extraction import run_extraction
from app.memory.extraction.interim import store_all_waiting_words
from app.memory.forget import forget
from app.memory.ledger import MemoryEvent, lock_chains_of_namespace
from app.memory.ledger.run_event import MAX_ATTEMPTS, TOO_LONG_AWAY
from app.memory.namespace import Namespace
from app.memory.retry_event import retry_event, retry_failed_events
from app.worker import run_jobs
from tests.locks import IS_BLOCKING_SQL
from tests.memory.extraction.conversations import queue_messages
from tests.memory.extraction.test_extract import extracting
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    execute_sql_as_system,
    load_event,
    load_history,
    load_memory,
    new_project,
    search,
    wait_until_ended,
)
from tests.memory.test_copy_profile import load_all, new_profile
from tests.model_server import Behaviour, Drops, Facts, Fails, Hangs, ModelServer, Raw
from tests.patience import PATIENCE_SECONDS

REST_SECONDS = 0.2
FAILURES_THAT_OPEN_THE_BREAKER = 5
RUN_NOW = "update jobs.procrastinate_jobs set scheduled_at = now() where status = 'todo' and args ->> 'event_id' = :id"


@pytest_asyncio.fixture
async def extraction_resources(own_resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    async with extracting(own_resources, model_server, rest_seconds=REST_SECONDS) as extraction_resources:
        yield extraction_resources


@pytest_asyncio.fixture
async def ann(own_resources: Resources) -> Namespace:
    return await create_namespace(own_resources, await new_project(own_resources))


async def run_in_vain(resources: Resources, namespace: Namespace, event_id: UUID, runs: int) -> list[type[Exception]]:
    """Run the job of the event while the model is away. Returns the error of each run."""
    errors: list[type[Exception]] = []
    for number in range(runs):
        with pytest.raises((ExtractionFailed, Postponed, Conflict)) as raised:
            await run_extraction(resources, namespace.project_id, event_id, number)
        errors.append(raised.type)
        await asyncio.sleep(REST_SECONDS if raised.type is Postponed else 0)
    return errors


async def fail_once(resources: Resources, namespace: Namespace, *words: str, **values: Any) -> UUID:
    event_id = await queue_messages(resources, namespace, *words, **values)
    await run_in_vain(resources, namespace, event_id, 1)
    return event_id


@pytest.mark.parametrize("behaviour", [Fails(500), Fails(503), Drops(), Hangs()], ids=str)
async def test_attempts_are_not_used_up_while_the_model_is_away(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer, behaviour: Behaviour
) -> None:
    model_server.always(behaviour, extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    runs = MAX_ATTEMPTS + 2
    limits = {"timeout_seconds": 0.5, "rest_seconds": REST_SECONDS}
    async with extracting(extraction_resources, model_server, **limits) as hasty:
        errors = await run_in_vain(hasty, ann, event_id, runs)
    assert set(errors[FAILURES_THAT_OPEN_THE_BREAKER - 1 :]) == {Postponed}
    assert (await load_event(extraction_resources, ann, event_id)).status == "RUNNING"
    model_server.always(Facts("User likes tea"), extraction=True)
    await asyncio.sleep(REST_SECONDS)
    await run_extraction(extraction_resources, ann.project_id, event_id, runs)
    assert (await load_event(extraction_resources, ann, event_id)).status == "SUCCEEDED"


async def test_restarts_while_the_model_is_away_use_up_no_attempts(
    own_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    """The circuit breaker of a new process is closed at first."""
    model_server.always(Fails(503), extraction=True)
    event_id = await queue_messages(own_resources, ann, "I like tea")
    for restart in range(3):
        model = OpenAIModel(Connection(base_url=model_server.url, tries=1), model="any")
        resources = replace(own_resources, extractor=Mem0Extractor(OpenAIExtractionModel(model)))
        for number in range(FAILURES_THAT_OPEN_THE_BREAKER):
            runs = restart * FAILURES_THAT_OPEN_THE_BREAKER + number
            with pytest.raises((ExtractionFailed, Postponed)):
                await run_extraction(resources, ann.project_id, event_id, runs)
        await model.close()
    assert (await load_event(own_resources, ann, event_id)).status == "RUNNING"


async def test_event_finishes_by_itself_when_the_model_returns(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Fails(503), extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    async with run_jobs(extraction_resources, concurrency=4, poll_seconds=0.2):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(model_server.extractions) < FAILURES_THAT_OPEN_THE_BREAKER + 1:
                await execute_sql_as_system(extraction_resources, RUN_NOW, id=str(event_id))
                await asyncio.sleep(0.1)
        model_server.always(Facts("User likes tea"), extraction=True)
        event = await wait_until_ended(extraction_resources, ann, event_id)
    assert event.status == "SUCCEEDED"
    assert contents(await search(extraction_resources, ann, "tea")) == ["User likes tea"]


async def test_waiting_events_ask_neither_the_model_nor_the_queue_while_it_is_away(
    own_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    connection = Connection(base_url=model_server.url, tries=1, rest_seconds=60)
    resources = replace(
        own_resources, extractor=Mem0Extractor(OpenAIExtractionModel(OpenAIModel(connection, model="any")))
    )
    model_server.always(Fails(503), extraction=True)
    users = [await create_namespace(resources, ann.project_id, f"user{number}") for number in range(30)]
    events = [await queue_messages(resources, user, f"I am number {number}") for number, user in enumerate(users)]
    async with run_jobs(resources, concurrency=4, poll_seconds=0.1):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(model_server.extractions) < FAILURES_THAT_OPEN_THE_BREAKER:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await asyncio.sleep(2.5)
        assert len(model_server.extractions) <= FAILURES_THAT_OPEN_THE_BREAKER + 4, "those that were running"
        sql = "select sum(attempts) as runs from jobs.procrastinate_jobs where task_name = 'memory.extract'"
        assert (await execute_sql_as_system(resources, sql))[0].runs < 20
        async with asyncio.timeout(PATIENCE_SECONDS):
            for number, user in enumerate(users):  # also those whose job never ran
                while contents(await search(resources, user, "number")) != [f"I am number {number}"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
    await execute_sql(resources, ann, "delete from events where id = any(:ids)", ids=events)
    await execute_sql_as_system(resources, "delete from jobs.procrastinate_jobs where task_name = 'memory.extract'")
    await resources.extractor.close()


async def test_words_are_findable_after_the_first_failure_and_replaced_by_their_facts(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(503))
    model_server.always(Facts("User likes green tea"), extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like green tea", metadata={"a": 1})
    later = await queue_messages(extraction_resources, ann, "Hello!", metadata={"a": 1})
    assert await search(extraction_resources, ann, "green tea") == []
    await run_in_vain(extraction_resources, ann, event_id, 1)
    found = await search(extraction_resources, ann, "green tea")
    assert contents(found) == ["I like green tea", "Hello!"]
    interim = found[0].memory
    assert (interim.kind, interim.metadata_["a"], interim.categories) == ("episode", 1, [])

    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    assert contents(await search(extraction_resources, ann, "green tea")) == ["User likes green tea"]
    assert await load_memory(extraction_resources, ann, interim.id) is None
    history = await load_history(extraction_resources, ann, interim.id)
    assert [(each.event, each.new_memory, each.input) for each in history] == [
        ("ADD", None, None),
        ("DELETE", None, None),
    ]
    statuses = [(await load_event(extraction_resources, ann, each)).status for each in (event_id, later)]
    assert statuses == ["SUCCEEDED", "SUCCEEDED"]
    index = extraction_resources.index
    await extraction_resources.index_queue.wait_until_indexed(ann.project_id, [str(ann)])
    assert await index.find_existing([interim.id]) == set()


async def test_words_are_stored_once_however_often_the_job_runs(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Fails(503), extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    await run_in_vain(extraction_resources, ann, event_id, 3)
    await asyncio.gather(*(store_all_waiting_words(extraction_resources) for _ in range(3)))
    assert contents(await search(extraction_resources, ann, "tea")) == ["I like tea"]


async def test_fact_that_repeats_the_words_is_stored(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    """The words that wait are neither a known fact nor a duplicate."""
    model_server.extraction(Fails(503), Facts("I like tea"))
    event_id = await fail_once(extraction_resources, ann, "I like tea")
    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    (result,) = (await load_event(extraction_resources, ann, event_id)).results
    (found,) = await search(extraction_resources, ann, "tea")
    assert (found.memory.content, found.memory.kind) == ("I like tea", "fact")
    assert result == {"id": str(found.memory.id), "event": "ADD"}


async def test_words_that_are_added_verbatim_meanwhile_stay(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(503), Facts())
    event_id = await fail_once(extraction_resources, ann, "I like tea")
    (verbatim,) = await add_memories(extraction_resources, ann, "I like tea")
    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    assert [each.memory.id for each in await search(extraction_resources, ann, "tea")] == [verbatim]


async def test_words_that_are_deleted_meanwhile_are_not_read(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(503), Facts("User likes tea"))
    event_id = await fail_once(extraction_resources, ann, "I like tea", "My number is 4711")
    (secret,) = [e.memory.id for e in await search(extraction_resources, ann, "4711") if "4711" in e.memory.content]
    await forget(extraction_resources, ann, [secret])
    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    assert "4711" not in str(model_server.extractions[-1]["messages"])
    (found,) = await search(extraction_resources, ann, "tea")
    assert (found.memory.content, found.memory.context) == ("User likes tea", "I like tea")


async def test_words_that_are_all_deleted_meanwhile_end_the_event_without_the_model(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(503), Facts("User likes tea"))
    event_id = await fail_once(extraction_resources, ann, "I like tea")
    await forget(extraction_resources, ann, [each.memory.id for each in await search(extraction_resources, ann, "tea")])
    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    event = await load_event(extraction_resources, ann, event_id)
    assert (event.status, event.results, event.messages) == ("SUCCEEDED", [], None)
    assert len(model_server.extractions) == 1
    assert await search(extraction_resources, ann, "tea") == []


async def test_words_that_are_changed_meanwhile_stay_as_they_are(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(503), Facts("User likes tea"))
    event_id = await fail_once(extraction_resources, ann, "I like tea")
    (found,) = await search(extraction_resources, ann, "tea")
    await change_memory(extraction_resources, Owner(ann.project_id), found.memory.id, {"content": "I like coffee"})
    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    assert contents(await search(extraction_resources, ann, "drinks")) == ["I like coffee"]


async def test_words_that_are_deleted_while_the_model_reads_them_leave_no_facts(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.extraction(Fails(503))
    model_server.always(Facts("User likes tea"), extraction=True)
    event_id = await fail_once(extraction_resources, ann, "I like tea")
    (found,) = await search(extraction_resources, ann, "tea")
    extractor, deleted = extraction_resources.extractor, list[UUID]()

    class Forgetting:
        name = extractor.name
        close = extractor.close

        async def extract(self, request: Any) -> Any:
            extraction = await extractor.extract(request)
            deleted.extend(await forget(extraction_resources, ann, [found.memory.id]))
            return extraction

    forgetting = replace(extraction_resources, extractor=Forgetting())
    assert [error.__name__ for error in await run_in_vain(forgetting, ann, event_id, 1)] == ["Conflict"]
    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    assert deleted == [found.memory.id]
    assert await search(extraction_resources, ann, "tea") == []


async def test_extraction_locks_the_chains_of_its_namespace_before_its_words(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    """A deletion takes them in this order, and would end in a deadlock with another one."""
    model_server.always(Fails(503), extraction=True)
    event_id = await fail_once(extraction_resources, ann, "I like tea")
    (words,) = [each for each in (await load_event(extraction_resources, ann, event_id)).interim_ids or () if each]
    model_server.always(Facts("User likes tea"), extraction=True)
    database = extraction_resources.database
    async with database.transaction(ann.project_id) as holder:
        await lock_chains_of_namespace(holder, str(ann))
        pid = await holder.scalar(text("select pg_backend_pid()"))
        running = asyncio.ensure_future(run_extraction(extraction_resources, ann.project_id, event_id, 1))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await database.pipeline(ann.project_id, None, (IS_BLOCKING_SQL, {"pid": pid})))[0].exists:
                assert not running.done(), running
        await holder.execute(text("select from memories where id = :id for update nowait"), {"id": words})
    await running
    assert (await load_event(extraction_resources, ann, event_id)).status == "SUCCEEDED"


async def test_copy_of_a_profile_contains_no_words_that_wait_for_the_model(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Fails(503), extraction=True)
    event_id = await fail_once(extraction_resources, ann, "I like tea", "I like milk")
    found = {each.memory.content: each.memory.id for each in await search(extraction_resources, ann, "drinks")}
    await change_memory(extraction_resources, Owner(ann.project_id), found["I like milk"], {"content": "I like juice"})
    await add_memories(extraction_resources, ann, "I have a dog")
    copy = await new_profile(extraction_resources, ann)
    assert await copy_memories(extraction_resources, ann, copy.profile_id or ann.project_id) == (2, 0)
    copied = [each.content for each in await load_all(extraction_resources, copy)]
    assert sorted(copied) == ["I have a dog", "I like juice"]

    await execute_sql(extraction_resources, ann, "update events set status = 'FAILED' where id = :id", id=event_id)
    later = await new_profile(extraction_resources, ann, "Later")
    await copy_memories(extraction_resources, ann, later.profile_id or ann.project_id)
    copied = [each.content for each in await load_all(extraction_resources, later)]
    assert "I like tea" in copied, "nothing else is left of a failed event"


async def test_event_that_waited_too_long_fails_and_keeps_its_words(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer
) -> None:
    model_server.always(Fails(503), extraction=True)
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    await run_in_vain(extraction_resources, ann, event_id, FAILURES_THAT_OPEN_THE_BREAKER)
    sql = "update events set unavailable_since = now() - interval '80 hours' where id = :id"
    await execute_sql(extraction_resources, ann, sql, id=event_id)
    await run_extraction(extraction_resources, ann.project_id, event_id, FAILURES_THAT_OPEN_THE_BREAKER)
    event = await load_event(extraction_resources, ann, event_id)
    assert (event.status, event.error) == ("FAILED", TOO_LONG_AWAY)
    assert contents(await search(extraction_resources, ann, "tea")) == ["I like tea"]


# ---------------------------------------------------------------- retries

Retry = Callable[[Resources, MemoryEvent], Any]


async def retry_one(resources: Resources, event: MemoryEvent) -> None:
    async with resources.database.transaction(event.project_id) as tx:
        assert await retry_event(tx, event.project_id, event.id)


async def retry_all(resources: Resources, event: MemoryEvent) -> None:
    assert await retry_failed_events(resources.database, project_id=event.project_id) == 1


@pytest.mark.parametrize("retry", [retry_one, retry_all])
async def test_retried_event_has_all_attempts_again_and_replaces_its_words(
    extraction_resources: Resources, ann: Namespace, model_server: ModelServer, retry: Retry
) -> None:
    model_server.extraction(Fails(503), Raw("prose"), Raw("prose"), Fails(503), Facts("User likes tea"))
    event_id = await fail_once(extraction_resources, ann, "I like tea")
    await run_extraction(extraction_resources, ann.project_id, event_id, 1)
    failed = await load_event(extraction_resources, ann, event_id)
    assert failed.status == "FAILED"
    await execute_sql_as_system(extraction_resources, "delete from jobs.procrastinate_jobs")
    await retry(extraction_resources, failed)
    pending = await load_event(extraction_resources, ann, event_id)
    assert (pending.status, pending.error, pending.started_at, pending.completed_at) == ("PENDING", None, None, None)
    async with run_jobs(extraction_resources, concurrency=2, poll_seconds=0.1):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (status := (await load_event(extraction_resources, ann, event_id)).status) in ("PENDING", "RUNNING"):
                await execute_sql_as_system(extraction_resources, RUN_NOW, id=str(event_id))
                await asyncio.sleep(0.1)
    assert status == "SUCCEEDED"
    assert contents(await search(extraction_resources, ann, "tea")) == ["User likes tea"]


async def test_event_that_has_not_failed_is_not_retried(extraction_resources: Resources, ann: Namespace) -> None:
    event_id = await queue_messages(extraction_resources, ann, "I like tea")
    async with extraction_resources.database.transaction(ann.project_id) as tx:
        assert not await retry_event(tx, ann.project_id, event_id)
    assert await retry_failed_events(extraction_resources.database, event_id=event_id) == 0
    assert await retry_failed_events(extraction_resources.database, event_id=uuid.uuid4()) == 0
