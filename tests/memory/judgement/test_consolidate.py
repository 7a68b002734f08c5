"""Existing memories are judged by a command: first as a dry run, then for real, and again without an effect."""

from uuid import UUID

from app.core.resources import Resources
from app.memory.judgement import consolidate
from app.memory.judgement.jobs import consolidate_project
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from tests.memory.namespaces import add_memories, execute_sql, load_memory, wait_until_indexed

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
        counts = await consolidate(
            resources.database, namespace.project_id, lambda *step: steps.append(step), dry_run=dry_run
        )
        assert counts[namespace.project_id].replaced == replaced
        if dry_run:
            assert [await _load(resources, namespace, each) for each in ids] == [None] * len(ids)
    assert steps == [(1, 1)] * 3
    assert [await _load(resources, namespace, each) for each in ids] == judged
    assert judged == [ids[3], ids[4], None, ids[6], None, None, None]


async def test_duplicates_are_merged_into_the_newest_on_request(resources: Resources, namespace: Namespace) -> None:
    statements = ("I like tea.", "I like coffee", "i like tea", "I like tea and cake", "I like tea!")
    ids = await add_memories(resources, namespace, *statements)
    for merge, replaced in ((False, 0), (True, 2), (True, 0)):
        counts = await consolidate(
            resources.database, namespace.project_id, lambda *_: None, dry_run=False, merge_duplicates=merge
        )
        assert counts[namespace.project_id].replaced == replaced
    assert [await _load(resources, namespace, each) for each in ids] == [ids[2], None, ids[4], None, None]


async def test_job_consolidates_projects_that_want_it(resources: Resources, namespace: Namespace) -> None:
    older, newer = await add_memories(resources, namespace, "I like tea", "I like tea!")
    assert (await consolidate_project(resources, namespace.project_id)).replaced == 0
    enable = """update projects set settings = settings || '{"consolidate": true}' where id = :project_id"""
    await execute_sql(resources, namespace, enable, project_id=namespace.project_id)
    assert (await consolidate_project(resources, namespace.project_id)).replaced == 1
    assert await _load(resources, namespace, older) == newer


async def _load(resources: Resources, namespace: Namespace, memory_id: UUID) -> UUID | None:
    row = await load_memory(resources, namespace, memory_id)
    assert row is not None
    return row.replaced_by
