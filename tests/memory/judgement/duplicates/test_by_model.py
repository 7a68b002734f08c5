"""A language model decides which near statements say the same: a good one, and those whose answer has no effect."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import UUID

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.memory.indexing.change_embedder import change_embedder
from app.memory.judgement.duplicates.by_model import KNOWN_TO_DIFFER
from app.memory.judgement.jobs import consolidate_project
from app.memory.namespace import Namespace
from tests.memory.namespaces import (
    add_memories,
    enable_consolidation,
    execute_sql,
    execute_sql_as_system,
    load_memory,
    wait_until_indexed,
)
from tests.model_server import Behaviour, Decides, Fails, ModelServer, Raw, Refuses, Sent

WALKS = ("I walk to the office each morning", "The user goes to the office each morning on foot")
NEAR = ("My sister has a house in Bergen", "My sister rents out a house in Bergen")
ABSENT = 99
Answer = Callable[[dict[int, str]], list[tuple[int, str]]]


@pytest_asyncio.fixture
async def asking_resources(
    resources: Resources, namespace: Namespace, model_server: ModelServer
) -> AsyncIterator[Resources]:
    await enable_consolidation(resources, namespace)
    model = OpenAIModel(Connection(base_url=model_server.url, tries=1), model="any")
    yield replace(resources, llm=model)
    await model.close()


@pytest_asyncio.fixture
async def ids(asking_resources: Resources, namespace: Namespace) -> list[UUID]:
    found = await add_memories(asking_resources, namespace, *WALKS, *NEAR)
    await wait_until_indexed(asking_resources, namespace)
    return found


def answering(answer: Answer) -> Decides:
    """A model that reads the numbered pairs, and says of some what they are."""

    def choose(sent: Sent) -> Behaviour:
        shown = sent.body["messages"][1]["content"]
        pairs = {int(number): f"{a} | {b}" for number, a, b in re.findall(r"^(\d+)a\. (.+)\n\d+b\. (.+)$", shown, re.M)}
        entries = [{"pair": number, "verdict": verdict} for number, verdict in answer(pairs)]
        return Raw(json.dumps({"pairs": entries}))

    return Decides(choose)


def judge(pair: str) -> str:
    return "same" if all(words in pair for words in WALKS) else "different"


def well(pairs: dict[int, str]) -> list[tuple[int, str]]:
    return [(number, judge(pair)) for number, pair in pairs.items()]


async def merged(resources: Resources, namespace: Namespace, ids: list[UUID]) -> list[UUID | None]:
    rows = [await load_memory(resources, namespace, each) for each in ids]
    return [row.replaced_by for row in rows if row]


async def test_model_merges_what_the_rules_cannot_read_and_is_asked_once(
    asking_resources: Resources, namespace: Namespace, model_server: ModelServer, ids: list[UUID]
) -> None:
    model_server.verdicts(answering(well))
    assert (await consolidate_project(asking_resources, namespace.project_id)).merged == 1
    assert await merged(asking_resources, namespace, ids) == [ids[1], None, None, None]
    [question] = model_server.comparisons
    assert KNOWN_TO_DIFFER[0] in question["messages"][1]["content"]

    assert (await consolidate_project(asking_resources, namespace.project_id)).merged == 0
    assert len(model_server.comparisons) == 1, "what was compared is not compared again"
    await execute_sql(asking_resources, namespace, "update memories set updated_at = now() where id = :id", id=ids[2])
    model_server.verdicts(answering(well))
    await consolidate_project(asking_resources, namespace.project_id)
    assert len(model_server.comparisons) == 2, "unless it was changed"


@pytest.mark.parametrize("which", ["older", "newer"])
async def test_statement_that_changes_while_the_model_answers_is_not_merged(
    asking_resources: Resources, namespace: Namespace, model_server: ModelServer, ids: list[UUID], which: str
) -> None:
    loop = asyncio.get_running_loop()
    changed = ids[0] if which == "older" else ids[1]

    def change_and_answer(pairs: dict[int, str]) -> list[tuple[int, str]]:
        change = "update memories set content = 'My blood type is AB', hash = 'x' where id = :id"
        work = execute_sql(asking_resources, namespace, change, id=changed)
        asyncio.run_coroutine_threadsafe(work, loop).result(30)
        return well(pairs)

    model_server.verdicts(answering(change_and_answer))
    assert (await consolidate_project(asking_resources, namespace.project_id)).merged == 0
    assert len(model_server.comparisons) == 1
    assert await merged(asking_resources, namespace, ids) == [None] * 4


BAD_MODELS = {
    "garbage": (Raw("Certainly! All of these are the same."), "no_verdicts"),
    "cut off": (Raw('{"pairs": [{"pair": 1, "verd'), "no_verdicts"),
    "refusal": (Refuses(), "no_verdicts"),
    "error": (Fails(500), "unavailable"),
    "everything is the same": (answering(lambda pairs: [(each, "same") for each in pairs]), "wrong_about_known_pair"),
    "nothing about the known pair": (
        answering(lambda pairs: [each for each in well(pairs) if each[1] == "same"]),
        "wrong_about_known_pair",
    ),
    "unknown pair": (answering(lambda pairs: [*well(pairs), (ABSENT, "same")]), "unknown_pair"),
    "contradiction": (answering(lambda pairs: [*well(pairs), *((each, "same") for each in pairs)]), "contradiction"),
    "unknown word": (answering(lambda pairs: [(each, "identical") for each in pairs]), "unreadable_verdict"),
    "no numbers": (Raw('{"pairs": [{"pair": true, "verdict": "same"}]}'), "unreadable_verdict"),
}


@pytest.mark.parametrize(("behaviour", "reason"), BAD_MODELS.values(), ids=BAD_MODELS)
async def test_bad_answer_merges_nothing_and_its_reason_is_logged(
    asking_resources: Resources,
    namespace: Namespace,
    model_server: ModelServer,
    ids: list[UUID],
    behaviour: Behaviour,
    reason: str,
) -> None:
    model_server.verdicts(behaviour)
    with capture_logs() as logs:
        assert (await consolidate_project(asking_resources, namespace.project_id)).merged == 0
    assert await merged(asking_resources, namespace, ids) == [None] * len(ids)
    [logged] = [each for each in logs if each["event"] == "memory.consolidated"]
    assert {name: count for name, count in logged.items() if name.startswith("refused_")} == {f"refused_{reason}": 1}
    assert "office" not in json.dumps(logs, default=str)

    model_server.verdicts(answering(well))
    assert (await consolidate_project(asking_resources, namespace.project_id)).merged == 1, "it is asked again"


async def test_model_is_not_asked_once_the_budget_is_used(
    asking_resources: Resources, namespace: Namespace, model_server: ModelServer, ids: list[UUID]
) -> None:
    resources = replace(asking_resources, config=replace(asking_resources.config, server_token_budget=0))
    with capture_logs() as logs:
        await consolidate_project(resources, namespace.project_id)
    assert model_server.comparisons == []
    [logged] = [each for each in logs if each["event"] == "memory.consolidated"]
    assert logged == {**logged, "questions": 1, "refused_token_budget_used": 1}
    assert await merged(resources, namespace, ids) == [None] * len(ids)


async def test_statements_that_were_not_embedded_are_compared_later(
    asking_resources: Resources, namespace: Namespace, model_server: ModelServer, ids: list[UUID]
) -> None:
    """As after an add while the provider of the embedder is away. The rules need no vectors."""
    await add_memories(asking_resources, namespace, "My sister rents out a house in Bergen!")
    await wait_until_indexed(asking_resources, namespace)
    vectors = await asking_resources.index.load_vectors(namespace.project_id, ids)
    await asking_resources.index.remove(ids)
    with capture_logs() as logs:
        assert (await consolidate_project(asking_resources, namespace.project_id)).merged == 1
    assert len(vectors) == len(ids)
    assert [each["without_vector"] for each in logs if each["event"] == "memory.consolidated"] == [3]
    assert model_server.comparisons == []


async def test_comparisons_are_deleted_with_their_memories(
    asking_resources: Resources, namespace: Namespace, model_server: ModelServer, ids: list[UUID]
) -> None:
    model_server.verdicts(answering(well))
    await consolidate_project(asking_resources, namespace.project_id)
    count = "select count(*) from compared_memories where project_id = :id"
    assert (await execute_sql_as_system(asking_resources, count, id=namespace.project_id))[0][0] == len(ids)
    await execute_sql(asking_resources, namespace, "delete from memories where id = any(:ids)", ids=ids[:3])
    assert (await execute_sql_as_system(asking_resources, count, id=namespace.project_id))[0][0] == 1


@pytest.mark.long
async def test_neighbours_of_a_multilingual_project_are_those_of_its_own_index(
    asking_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    choose = "insert into project_embedders (project_id, chosen) values (:id, 'multilingual')"
    await execute_sql_as_system(asking_resources, choose, id=namespace.project_id)
    await change_embedder(asking_resources, namespace.project_id, grace_seconds=0)
    words = (
        "Ich gehe jeden Morgen zu Fuß ins Büro",
        "Ich laufe jeden Morgen ins Büro",
        "Meine Schwester lebt in Bergen",
    )
    ids = await add_memories(asking_resources, namespace, *words)
    await wait_until_indexed(asking_resources, namespace)
    model_server.verdicts(
        answering(lambda pairs: [(number, "same" if "Fuß" in pair else "different") for number, pair in pairs.items()])
    )
    assert (await consolidate_project(asking_resources, namespace.project_id)).merged == 1
    assert await merged(asking_resources, namespace, ids) == [ids[1], None, None]
    await execute_sql_as_system(asking_resources, "delete from projects where id = :id", id=namespace.project_id)
