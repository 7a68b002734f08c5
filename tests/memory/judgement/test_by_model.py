"""A language model decides what new facts replace: a good one, and those whose answer must have no effect."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
import pytest_asyncio

from app.adapters.models.mem0 import Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.chat.usage.usage import read_usage
from app.core.resources import Resources
from app.memory.extraction import run_extraction
from app.memory.judgement.by_model import UNUSABLE
from app.memory.ledger import MemoryEvent
from app.memory.namespace import Namespace
from tests.memory.extraction.conversations import queue_messages
from tests.memory.namespaces import add_memories, load_event, load_memory, wait_until_indexed
from tests.model_server import Behaviour, Facts, Fails, ModelServer, Raw, Refuses, Verdicts

OLD = ("My cat sleeps in the kitchen", "My cat eats dry food", "My cat likes the kitchen", "My cat is called Minka")
NEW = "My cat sleeps in the bedroom"


@pytest_asyncio.fixture
async def judging_resources(resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    model = OpenAIModel(Connection(base_url=model_server.url, tries=1), model="any")
    extractor = Mem0Extractor(OpenAIExtractionModel(model))
    yield replace(resources, extractor=extractor, llm=model)
    await extractor.close()


async def extract(
    resources: Resources, namespace: Namespace, model_server: ModelServer, behaviour: Behaviour
) -> MemoryEvent:
    model_server.extraction(Facts(NEW))
    model_server.verdicts(behaviour)
    event_id = await queue_messages(resources, namespace, "She moved to the bedroom")
    await run_extraction(resources, namespace.project_id, event_id, 0)
    await wait_until_indexed(resources, namespace)
    return await load_event(resources, namespace, event_id)


async def replaced(resources: Resources, namespace: Namespace, ids: list[UUID]) -> list[UUID]:
    rows = [await load_memory(resources, namespace, each) for each in ids]
    return [row.id for row in rows if row and row.replaced_by]


async def test_model_replaces_what_the_rules_do_not_know(
    judging_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    ids = await add_memories(judging_resources, namespace, *OLD)
    event = await extract(judging_resources, namespace, model_server, Verdicts((1, 1, "replaces"), (1, 2, "adds")))
    [question] = model_server.comparisons
    shown = question["messages"][1]["content"]
    assert f"] {NEW}" in shown
    first = next(words for words in OLD if f"1. [{event.created_at:%Y-%m-%d}] {words}" in shown)
    assert await replaced(judging_resources, namespace, ids) == [ids[OLD.index(first)]]
    assert [each["event"] for each in event.results] == ["ADD", "UPDATE"]
    assert event.results[1] == {
        "id": str(ids[OLD.index(first)]),
        "event": "UPDATE",
        "replaced_by": event.results[0]["id"],
    }
    assert event.note is None
    async with judging_resources.database.transaction(namespace.project_id) as tx:
        spent = await read_usage(tx, namespace.project_id)
    assert spent["prompt_tokens"] == 22, "the extraction and the question"


EVERYTHING = Verdicts(*((1, old, "replaces") for old in range(1, 5)))
BAD_ANSWERS = {
    "garbage": Raw("Certainly! Everything is replaced."),
    "cut off": Raw('{"verdicts": [{"new": 1, "old"'),
    "refusal": Refuses(),
    "error": Fails(500),
    "everything replaces everything": EVERYTHING,
    "unknown memory": Verdicts((1, 1, "replaces"), (1, 99, "replaces")),
    "unknown word": Verdicts((1, 1, "overwrites")),
    "contradiction": Verdicts((1, 1, "replaces"), (1, 1, "adds")),
    "no numbers": Raw('{"verdicts": [{"new": "1", "old": true, "verdict": "replaces"}]}'),
}


@pytest.mark.parametrize("behaviour", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_bad_answer_replaces_nothing_and_is_noted(
    judging_resources: Resources, namespace: Namespace, model_server: ModelServer, behaviour: Behaviour
) -> None:
    ids = await add_memories(judging_resources, namespace, *OLD)
    event = await extract(judging_resources, namespace, model_server, behaviour)
    assert (event.status, [each["event"] for each in event.results]) == ("SUCCEEDED", ["ADD"])
    assert (event.note or "").startswith(UNUSABLE)
    assert await replaced(judging_resources, namespace, ids) == []


async def test_rules_decide_where_the_model_has_not(
    judging_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    ids = await add_memories(judging_resources, namespace, "My cat's name is Minka")
    model_server.extraction(Facts("My cat's name is now Polly"), Facts("My cat's name is now Olga"))
    model_server.verdicts(Raw("no idea"), Verdicts((1, 1, "adds")))
    for _ in range(2):
        event_id = await queue_messages(judging_resources, namespace, "About my cat")
        await run_extraction(judging_resources, namespace.project_id, event_id, 0)
        await wait_until_indexed(judging_resources, namespace)
        event = await load_event(judging_resources, namespace, event_id)
        ids += [UUID(event.results[0]["id"])]
    assert await replaced(judging_resources, namespace, ids) == ids[:1], "by the rules, and not against the model"
