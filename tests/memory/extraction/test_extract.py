"""What a model makes of a conversation, with a real server behind OpenAI's API and the worker running."""

import asyncio
import datetime as dt
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from app.adapters.models.mem0 import Mem0Extractor, OpenAIAnswers
from app.adapters.models.openai import Connection, OpenAIModel
from app.chat.usage.usage import read_usage
from app.core.errors import Unavailable
from app.core.ports import Embedder, Extraction, ExtractionRequest, Purpose, Vector
from app.core.resources import Resources
from app.memory.extraction.extract import MOST_TRIES, run_extraction
from app.memory.ledger.models import MemoryEvent
from app.memory.namespace import Namespace
from app.memory.remember import Conversation, queue_extraction
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs
from tests.memory.namespaces import (
    as_system,
    ask,
    contents,
    ended,
    event_of,
    execute,
    history_of,
    keep,
    move_in,
    new_project,
    settled,
)
from tests.model_server import Behaviour, Drops, Facts, Fails, Hangs, Held, ModelServer, Raw, Refuses, Says


class Unforeseen:
    name = "unforeseen"

    async def extract(self, request: ExtractionRequest) -> Extraction:
        raise KeyError(self.name)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class Away:
    """An embedder that cannot be reached."""

    embedder: Embedder

    def __post_init__(self) -> None:
        self.name, self.dimensions = self.embedder.name, self.embedder.dimensions

    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:
        raise Unavailable("The embedder is away")

    async def close(self) -> None:
        """Nothing is held."""


JOB = "select status, attempts, scheduled_at, args from jobs.procrastinate_jobs where task_name = 'memory.extract'"
HURRY = "update jobs.procrastinate_jobs set scheduled_at = now() where status = 'todo' and args ->> 'event_id' = :id"


@pytest_asyncio.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Resources]:
    """With a database of its own: its worker meets no other test's jobs."""
    folder: Path = tmp_path_factory.mktemp("extraction")
    async with open_resources(Settings(_env_file=None, data_dir=folder)) as resources:
        yield resources


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def server(models: ModelServer) -> ModelServer:
    models.forget()
    return models


@pytest_asyncio.fixture
async def engine(house: Resources, server: ModelServer) -> AsyncIterator[Resources]:
    connection = Connection(base_url=server.url, tries=1, timeout_seconds=1)
    extractor = Mem0Extractor(OpenAIAnswers(OpenAIModel(connection, model="any")))
    yield replace(house, extractor=extractor)
    await extractor.close()


@pytest_asyncio.fixture
async def ann(house: Resources) -> Namespace:
    return await move_in(house, await new_project(house))


async def say(resources: Resources, home: Namespace, *words: str, **values: Any) -> UUID:
    messages = [{"role": "user", "content": each} for each in words]
    async with resources.database.transaction(home.project_id, home.user_id) as tx:
        return await queue_extraction(tx, home, Conversation(messages, **values))


@asynccontextmanager
async def working(resources: Resources) -> AsyncIterator[None]:
    async with run_jobs(resources, concurrency=4, look_every_seconds=0.05):
        yield


async def worked(resources: Resources, home: Namespace, *words: str, **values: Any) -> MemoryEvent:
    event_id = await say(resources, home, *words, **values)
    async with working(resources):
        return await ended(resources, home, event_id)


async def put_off(resources: Resources, home: Namespace, event_id: UUID) -> float:
    """Seconds until the next try, once a first one has failed."""
    async with asyncio.timeout(20):
        while True:
            rows = [row for row in await as_system(resources, JOB) if row.args["event_id"] == str(event_id)]
            if rows and rows[0].attempts and rows[0].status == "todo":
                moment: dt.datetime = rows[0].scheduled_at
                return (moment - dt.datetime.now(dt.UTC)).total_seconds()
            await asyncio.sleep(0.02)


# ---------------------------------------------------------------- what comes of it


async def test_facts_become_memories_with_what_belongs_to_them(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.extraction(Facts("User likes green tea", "User lives in Köln"))
    said_at = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    event = await worked(
        *(engine, ann, "I like green tea and live in Köln"),
        **{"run_id": "r", "metadata": {"a": 1}, "said_at": said_at, "immutable": True},
    )
    assert event.status == "SUCCEEDED"
    assert (event.messages, event.error, event.note) == (None, None, None)
    assert [each["event"] for each in event.results] == ["ADD", "ADD"]
    found = await ask(engine, ann, "green tea")
    assert sorted(contents(found)) == ["User likes green tea", "User lives in Köln"]
    memory = found[0].memory
    assert (memory.run_id, memory.metadata_["a"], memory.immutable) == ("r", 1, True)
    assert memory.created_at == said_at
    assert str(memory.id) in {each["id"] for each in event.results}
    assert (await history_of(engine, ann, memory.id))[0].input == [
        {"role": "user", "content": "I like green tea and live in Köln"}
    ]


async def test_what_the_model_read_and_wrote_is_paid_for_by_the_project(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.extraction(Raw("prose"), Facts("User likes tea"))
    assert (await worked(engine, ann, "I like tea")).status == "SUCCEEDED"
    async with engine.database.transaction(ann.project_id) as tx:
        spent = await read_usage(tx, ann.project_id)
    assert (spent["prompt_tokens"], spent["turns"]) == (22, 0), "asked twice"
    assert spent["completion_tokens"]


async def test_fenced_facts_are_read_too(engine: Resources, ann: Namespace, server: ModelServer) -> None:
    server.extraction(Facts("User likes tea", fenced=True))
    assert (await worked(engine, ann, "I like tea")).status == "SUCCEEDED"
    assert contents(await ask(engine, ann, "tea")) == ["User likes tea"]


async def test_nothing_worth_remembering_is_a_success_without_results(engine: Resources, ann: Namespace) -> None:
    event = await worked(engine, ann, "Hello!")
    assert (event.status, event.results, event.error) == ("SUCCEEDED", [], None)


@pytest.mark.parametrize(
    "behaviour",
    [Raw("User likes tea"), Raw('{"memory": [{"text"'), Raw('{"facts": "tea"}'), Raw("[]"), Refuses(), Says()],
    ids=["prose", "cut off", "another shape", "a list", "refusal", "silence"],
)
async def test_nonsense_is_a_failure_with_a_reason_and_never_an_empty_success(
    engine: Resources, ann: Namespace, server: ModelServer, behaviour: Behaviour
) -> None:
    server.always(behaviour, extraction=True)
    event_id = await say(engine, ann, "I like tea")
    async with working(engine):
        event = await hurried(engine, ann, event_id)
    assert event.status == "FAILED"
    assert event.error
    assert "tea" not in event.error
    assert (event.results, event.messages) == ([], [{"role": "user", "content": "I like tea"}])
    assert await ask(engine, ann, "tea") == []


async def asked(server: ModelServer) -> None:
    async with asyncio.timeout(10):
        while True:
            if server.extractions:
                return
            await asyncio.sleep(0.01)


async def over(resources: Resources, event_id: UUID) -> None:
    async with asyncio.timeout(20):
        while True:
            rows = [row for row in await as_system(resources, JOB) if row.args["event_id"] == str(event_id)]
            if all(row.status == "succeeded" for row in rows):
                return
            await asyncio.sleep(0.02)


async def hurried(resources: Resources, home: Namespace, event_id: UUID) -> MemoryEvent:
    """Every further try as soon as it is put off, until the event has ended."""
    ending = asyncio.create_task(ended(resources, home, event_id, seconds=40))
    while not ending.done():
        await as_system(resources, HURRY, id=str(event_id))
        await asyncio.sleep(0.02)
    return await ending


@pytest.mark.parametrize("behaviour", [Fails(500), Hangs(), Drops(), Fails(429, retry_after="1")], ids=str)
async def test_what_may_pass_is_tried_again(
    engine: Resources, ann: Namespace, server: ModelServer, behaviour: Behaviour
) -> None:
    server.extraction(behaviour, Facts("User likes tea"))
    event_id = await say(engine, ann, "I like tea")
    async with working(engine):
        assert await put_off(engine, ann, event_id) < 20
        assert (await event_of(engine, ann, event_id)).status == "RUNNING"
        event = await hurried(engine, ann, event_id)
    assert event.status == "SUCCEEDED"
    assert contents(await ask(engine, ann, "tea")) == ["User likes tea"]
    assert len(server.extractions) == 2


async def test_a_model_that_says_when_to_come_back_is_not_asked_sooner(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.extraction(Fails(429, retry_after="300"))
    event_id = await say(engine, ann, "I like tea")
    async with working(engine):
        assert 280 < await put_off(engine, ann, event_id) < 330


async def test_tries_come_to_an_end_and_the_event_says_why(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.always(Fails(429, retry_after="20"), extraction=True)
    event_id = await say(engine, ann, "I like tea")
    async with working(engine):
        event = await hurried(engine, ann, event_id)
    assert event.status == "FAILED"
    assert event.error
    assert len(server.extractions) == MOST_TRIES + 1


# ---------------------------------------------------------------- duplicates


async def test_a_fact_that_is_known_is_reported_as_such(engine: Resources, ann: Namespace, server: ModelServer) -> None:
    same, alike = await keep(engine, ann, "User likes green tea", "User lives in Köln")
    server.extraction(Facts("User likes green tea", "User lives in Köln.", "User plays chess"))
    event = await worked(engine, ann, "I like green tea, live in Köln and play chess")
    outcome = {each["id"]: each["event"] for each in event.results}
    assert {outcome[str(same)], outcome[str(alike)]} == {"NONE"}
    assert sorted(outcome.values()) == ["ADD", "NONE", "NONE"]
    assert len(await ask(engine, ann, "User")) == 3


async def test_a_fact_said_twice_in_one_answer_is_kept_once(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.extraction(Facts("User likes tea", "User likes tea"))
    await worked(engine, ann, "Tea, tea")
    assert contents(await ask(engine, ann, "tea")) == ["User likes tea"]


# ---------------------------------------------------------------- one at a time, once, and in order


async def test_a_namespace_has_one_extraction_at_a_time_and_in_order(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.always(Says('{"mem', 'ory": []}', delay=0.03), extraction=True)
    ids = [await say(engine, ann, f"Sentence number {n}") for n in range(5)]
    async with working(engine):
        events = [await ended(engine, ann, each) for each in ids]
    spans = [(each.started_at, each.completed_at) for each in events]
    assert all(one[1] <= other[0] for one, other in pairwise(spans) if one[1] and other[0])
    prompts = [str(body["messages"]) for body in server.extractions]
    assert [f"Sentence number {n}" in words for n, words in enumerate(prompts)] == [True] * 5


async def test_a_failed_try_lets_no_later_words_overtake_it(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.extraction(Fails(500))
    first = await say(engine, ann, "I moved to Rome")
    second = await say(engine, ann, "I moved to Oslo")
    async with working(engine):
        await put_off(engine, ann, first)
        await asyncio.sleep(0.3)
        assert (await event_of(engine, ann, second)).status == "PENDING"
        await hurried(engine, ann, second)
    assert ["Rome" in str(body["messages"]) for body in server.extractions] == [True, True, False]


async def test_namespaces_do_not_wait_for_each_other(engine: Resources, ann: Namespace, server: ModelServer) -> None:
    ben = await move_in(engine, ann.project_id, "ben")
    server.extraction(Fails(429, retry_after="300"))
    waiting = await say(engine, ann, "I like tea")
    async with working(engine):
        await put_off(engine, ann, waiting)
        assert (await ended(engine, ben, await say(engine, ben, "I like tea"))).status == "SUCCEEDED"


async def test_a_job_whose_worker_died_is_done_once_more_and_its_facts_are_kept_once(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.always(Facts("User likes tea"), extraction=True)
    event_id = await say(engine, ann, "I like tea")
    await as_system(
        *(engine, "update jobs.procrastinate_jobs set status = 'doing' where args ->> 'event_id' = :id"),
        id=str(event_id),
    )
    async with working(engine):
        assert (await ended(engine, ann, event_id)).status == "SUCCEEDED"
    assert contents(await ask(engine, ann, "tea")) == ["User likes tea"]
    assert len(server.extractions) == 1


async def test_a_job_that_is_run_again_after_its_end_does_nothing(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    server.extraction(Facts("User likes tea"))
    event = await worked(engine, ann, "I like tea")
    await run_extraction(engine, ann.project_id, event.id, 0)
    assert len(server.extractions) == 1
    assert (await event_of(engine, ann, event.id)).results == event.results


async def test_an_event_that_was_deleted_meanwhile_leaves_nothing(
    engine: Resources, ann: Namespace, server: ModelServer
) -> None:
    deleted = threading.Event()
    server.always(Held(deleted, Facts("User likes tea")), extraction=True)
    event_id = await say(engine, ann, "I like tea")
    async with working(engine):
        await asked(server)
        await execute(engine, ann, "delete from events where id = :id", id=event_id)
        deleted.set()
        await over(engine, event_id)
    assert (await settled(engine, ann)) is not None
    assert await ask(engine, ann, "tea") == []


async def test_words_and_job_are_written_together_or_not_at_all(engine: Resources, ann: Namespace) -> None:
    with pytest.raises(ZeroDivisionError):
        await say_and_fail(engine, ann)
    jobs = [row for row in await as_system(engine, JOB) if row.args["project_id"] == str(ann.project_id)]
    assert jobs == []


async def say_and_fail(resources: Resources, home: Namespace) -> None:
    async with resources.database.transaction(home.project_id) as tx:
        await queue_extraction(tx, home, Conversation([{"role": "user", "content": "I like tea"}]))
        raise ZeroDivisionError


async def test_without_a_model_the_event_says_so(house: Resources, ann: Namespace) -> None:
    event = await worked(house, ann, "I live in Köln. What about you?")
    assert event.status == "SUCCEEDED"
    assert event.note
    assert "No language model" in event.note
    assert contents(await ask(house, ann, "Köln")) == ["I live in Köln."]


async def test_a_failure_nobody_foresaw_is_an_event_that_failed(engine: Resources, ann: Namespace) -> None:
    broken = replace(engine, extractor=Unforeseen())
    event = await worked(broken, ann, "I like tea")
    assert event.status == "FAILED"
    assert event.error


async def test_an_index_that_is_away_is_waited_for(engine: Resources, ann: Namespace, server: ModelServer) -> None:
    server.always(Facts("User likes tea"), extraction=True)
    broken = replace(engine, embedder=Away(engine.embedder))
    event_id = await say(broken, ann, "I like tea")
    async with working(broken):
        await put_off(broken, ann, event_id)
    async with working(engine):
        assert (await hurried(engine, ann, event_id)).status == "SUCCEEDED"
