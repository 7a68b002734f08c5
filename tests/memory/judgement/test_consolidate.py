"""Existing memories are judged by a command: first as a dry run, then for real, and again without an effect."""

import asyncio
import datetime as dt
from typing import Any
from uuid import UUID

import httpx

from app.core.ports import Role
from app.core.resources import Resources
from app.memory.judgement import Consolidated, Consolidation
from app.memory.judgement.jobs import consolidate_project
from app.memory.ledger import Kind, Source
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from tests.memory.namespaces import (
    add_memories,
    enable_consolidation,
    execute_sql,
    load_history,
    load_memory,
    wait_until_indexed,
)

STATEMENTS = (
    "I live in Leipzig",
    "I smoke",
    "I like tea",
    "I live in Porto",
    "I quit smoking",
    "I like coffee",
    "I live in Bergen",
)
FORGET_JUDGEMENT = "update memories set replaced_by = null, valid_until = null where project_id = :project_id"


async def test_consolidation_replaces_what_was_never_judged(resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(resources, namespace, *STATEMENTS)
    await add_memories(resources, namespace, "I live in Rome", origin=Origin(agent_id="nurse"))
    await wait_until_indexed(resources, namespace)
    judged = [(await _load(resources, namespace, each)) for each in ids]
    await execute_sql(resources, namespace, FORGET_JUDGEMENT, project_id=namespace.project_id)

    steps: list[tuple[int, int]] = []
    for dry_run, replaced in ((True, 3), (False, 3), (False, 0)):
        consolidation = Consolidation(resources.database, dry_run)
        counts = await consolidation.run(namespace.project_id, lambda *step: steps.append(step))
        assert counts[namespace.project_id].replaced == replaced
        if dry_run:
            assert [await _load(resources, namespace, each) for each in ids] == [None] * len(ids)
    assert steps == [(1, 1)] * 3
    assert [await _load(resources, namespace, each) for each in ids] == judged
    assert judged == [ids[3], ids[4], None, ids[6], None, None, None]


async def test_duplicates_are_merged_into_the_newest_on_request(resources: Resources, namespace: Namespace) -> None:
    statements = ("I like tea.", "I like coffee", "i like tea", "I like tea and cake", "The user likes tea!")
    ids = await add_memories(resources, namespace, *statements)
    for merge_duplicates, merged in ((False, 0), (True, 2), (True, 0)):
        counts = await consolidate(resources, namespace, merge_duplicates=merge_duplicates)
        assert (counts.replaced, counts.merged) == (0, merged)
    assert [await _load(resources, namespace, each) for each in ids] == [ids[2], None, ids[4], None, None]


async def test_dry_run_names_the_pairs_and_changes_nothing(resources: Resources, namespace: Namespace) -> None:
    older, newer = await add_memories(resources, namespace, "I am vegan", "The user is vegan")
    counts = await consolidate(resources, namespace, dry_run=True, merge_duplicates=True)
    assert (counts.merged, counts.pairs) == (1, [(older, newer)])
    assert await _load(resources, namespace, older) is None


async def test_merged_memory_has_the_sources_of_both_until_one_is_restored(
    client: httpx.AsyncClient, resources: Resources, namespace: Namespace
) -> None:
    async def sources(memory_id: UUID) -> list[str]:
        found = (await client.get(f"/v1/memories/{memory_id}/")).json()
        return [found["source"], *(each["source"] for each in found["sources"])]

    (first,) = await add_memories(resources, namespace, "I have 2 cats", source=Source.IMPORT)
    (second,) = await add_memories(resources, namespace, "I have two cats")
    (third,) = await add_memories(resources, namespace, "The user has two cats")
    await consolidate(resources, namespace, merge_duplicates=True)
    assert [await _load(resources, namespace, each) for each in (first, second, third)] == [None, first, first]
    assert await sources(first) == ["import", "import", "user", "user"]
    history = (await client.get(f"/v1/memories/{second}/history/")).json()
    assert history[-1]["metadata"] == {"replaced_by": str(first), "reason": "duplicate"}

    assert (await client.post(f"/v1/memories/{second}/restore")).status_code == 200
    assert await sources(first) == ["import", "import", "user"]
    assert await sources(second) == ["user", "user"]
    counts = await consolidate(resources, namespace, merge_duplicates=True)
    assert counts.merged == 0, "a merge that was undone is not repeated"


async def test_statements_that_filters_tell_apart_are_not_merged(resources: Resources, namespace: Namespace) -> None:
    apart: list[dict[str, Any]] = [
        {},
        {"metadata": {"topic": "food"}},
        {"expires_on": dt.date(2999, 1, 1)},
        {"kind": Kind.EPISODE},
        {"immutable": True},
        {"role": Role.ASSISTANT},
        {"origin": Origin(run_id="monday")},
        {"origin": Origin(run_id="tuesday")},
    ]
    for number, values in enumerate(apart):
        await add_memories(resources, namespace, "I am vegan" + "!" * number, **values)
    counts = await consolidate(resources, namespace, merge_duplicates=True)
    assert (counts.statements, counts.merged) == (len(apart) - 2, 0)


async def test_interrupted_run_and_a_second_one_beside_it_end_like_one_run(
    resources: Resources, namespace: Namespace
) -> None:
    """What a transaction has merged stays merged, and no pair is merged twice."""
    ids = await add_memories(resources, namespace, *(f"I have {n} cats" for n in range(20, 30)))
    again = await add_memories(resources, namespace, *(f"The user has {n} cats!" for n in range(20, 30)))
    first = asyncio.create_task(consolidate(resources, namespace, merge_duplicates=True))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    counts = await asyncio.gather(*(consolidate(resources, namespace, merge_duplicates=True) for _ in range(2)))
    assert sum(each.merged for each in counts) == len(ids)
    assert [await _load(resources, namespace, each) for each in ids] == again
    histories = [await load_history(resources, namespace, each) for each in ids]
    assert [[entry.event for entry in each] for each in histories] == [["ADD", "SUPERSEDE"]] * len(ids)


async def test_job_consolidates_projects_that_want_it(resources: Resources, namespace: Namespace) -> None:
    older, newer = await add_memories(resources, namespace, "I like tea", "I like tea!")
    assert (await consolidate_project(resources, namespace.project_id)).merged == 0
    await enable_consolidation(resources, namespace)
    assert (await consolidate_project(resources, namespace.project_id)).merged == 1
    assert await _load(resources, namespace, older) == newer


async def consolidate(
    resources: Resources, namespace: Namespace, *, merge_duplicates: bool, dry_run: bool = False
) -> Consolidated:
    consolidation = Consolidation(resources.database, dry_run, merge_duplicates)
    return (await consolidation.run(namespace.project_id, lambda *_: None))[namespace.project_id]


async def _load(resources: Resources, namespace: Namespace, memory_id: UUID) -> UUID | None:
    row = await load_memory(resources, namespace, memory_id)
    assert row is not None
    return row.replaced_by
