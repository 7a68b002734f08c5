"""New statements replace older ones when they are indexed: in which scope, in which order, and after a crash."""

import datetime as dt
import uuid
from collections.abc import Sequence

from app.core.ports import Role
from app.core.resources import Resources
from app.memory.indexing import sweep
from app.memory.ledger import Kind, NewMemory
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.remember import remember
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    load_event,
    load_history,
    load_memory,
    search,
    wait_until_indexed,
)

OLD, NEW = "I work at Northwind", "I now work at Contoso"


async def current(resources: Resources, namespace: Namespace, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Those of the memories that nothing has replaced, once all are indexed."""
    await wait_until_indexed(resources, namespace)
    rows = [await load_memory(resources, namespace, each) for each in ids]
    return [row.id for row in rows if row and row.replaced_by is None]


async def test_new_statement_replaces_older_one_before_it_is_found(resources: Resources, namespace: Namespace) -> None:
    (old,) = await add_memories(resources, namespace, OLD)
    (new,) = await add_memories(resources, namespace, NEW)
    assert contents(await search(resources, namespace, "Where do I work?")) == [NEW]
    replaced = await load_memory(resources, namespace, old)
    assert replaced is not None
    assert replaced.replaced_by == new
    assert "SUPERSEDE" in [each.event for each in await load_history(resources, namespace, old)]


async def test_event_of_new_statement_names_what_it_replaced(resources: Resources, namespace: Namespace) -> None:
    (old,) = await add_memories(resources, namespace, OLD)
    added = await remember(resources, namespace, [NewMemory(NEW)])
    await wait_until_indexed(resources, namespace)
    event = await load_event(resources, namespace, added.event_id)
    (new,) = [each.id for each in added.results]
    assert event.results == [
        {"id": str(new), "event": "ADD"},
        {"id": str(old), "event": "UPDATE", "replaced_by": str(new)},
    ]


async def test_statements_of_one_request_replace_each_other_in_order(
    resources: Resources, namespace: Namespace
) -> None:
    cities = ["I live in Leipzig", "I live in Porto", "I live in Bergen"]
    ids = await add_memories(resources, namespace, *cities)
    assert await current(resources, namespace, ids) == ids[2:]
    rows = [await load_memory(resources, namespace, each) for each in ids]
    assert [row.replaced_by for row in rows if row] == [ids[1], ids[2], None]


async def test_older_statement_that_arrives_later_is_replaced_itself(
    resources: Resources, namespace: Namespace
) -> None:
    (newer,) = await add_memories(resources, namespace, NEW)
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=400)
    (older,) = await add_memories(resources, namespace, OLD, created_at=past)
    assert await current(resources, namespace, [newer, older]) == [newer]


async def test_statements_of_other_scopes_do_not_replace_each_other(resources: Resources, namespace: Namespace) -> None:
    other = await create_namespace(resources, namespace.project_id, "ben")
    ids = await add_memories(resources, namespace, OLD)
    ids += await add_memories(resources, namespace, NEW, origin=Origin(agent_id="nurse"))
    ids += await add_memories(resources, namespace, NEW, origin=Origin(run_id="trip"))
    ids += await add_memories(resources, namespace, NEW, role=Role.ASSISTANT)
    elsewhere = await add_memories(resources, other, NEW)
    assert await current(resources, namespace, ids) == ids
    assert await current(resources, other, elsewhere) == elsewhere


async def test_statements_of_two_chats_replace_each_other(resources: Resources, namespace: Namespace) -> None:
    """The run of what a chat remembers is its session."""
    ids = []
    for words, session in ((OLD, "one"), (NEW, "two")):
        ids += await add_memories(
            resources, namespace, words, origin=Origin(run_id=session), source_message_id=uuid.uuid4()
        )
    assert await current(resources, namespace, ids) == ids[1:]


async def test_assistant_and_immutable_memories_are_not_replaced(resources: Resources, namespace: Namespace) -> None:
    ids = await add_memories(resources, namespace, "You work at Northwind", OLD, role=Role.ASSISTANT)
    ids += await add_memories(resources, namespace, "I work at Fabrikam", immutable=True)
    ids += await add_memories(resources, namespace, NEW, kind=Kind.EPISODE)
    assert await current(resources, namespace, ids) == ids


async def test_statement_left_unjudged_by_a_crash_is_judged_by_the_sweep(
    resources: Resources, namespace: Namespace
) -> None:
    """A crash between index and judgement leaves the row pending. The order of one request is kept."""
    ids = await add_memories(resources, namespace, "I live in Leipzig", "I live in Porto", "I live in Bergen")
    await wait_until_indexed(resources, namespace)
    await execute_sql(
        resources,
        namespace,
        "update memories set replaced_by = null, valid_until = null, state = 'pending',"
        " updated_at = updated_at - interval '1 hour' where project_id = :project_id",
        project_id=namespace.project_id,
    )
    await sweep(resources, older_than_seconds=30)
    assert await current(resources, namespace, ids) == ids[2:]
    history = await load_history(resources, namespace, ids[0])
    await sweep(resources, older_than_seconds=0)
    assert await current(resources, namespace, ids) == ids[2:]
    assert len(await load_history(resources, namespace, ids[0])) == len(history)


async def test_double_correction_leaves_only_the_last_value(resources: Resources, namespace: Namespace) -> None:
    """Reported about mem0: after two corrections, all three values stay and drive the answer."""
    name = "My name is Liguoyu", "No, my name is Liguosong", "Sorry, my name is Liguohong"
    for words in name:
        await add_memories(resources, namespace, words)
    assert contents(await search(resources, namespace, "What is my name?")) == [name[2]]


async def test_stale_fact_is_not_returned_above_the_current_one(resources: Resources, namespace: Namespace) -> None:
    """Reported about mem0: the former employer scores higher than the current one."""
    await add_memories(resources, namespace, "User works at Company A", "User lives in Austin", "User has a dog")
    await add_memories(resources, namespace, "User now works at Company B", "User has a cat")
    found = contents(await search(resources, namespace, "Where do I work?", top_k=10))
    assert "User now works at Company B" in found
    assert "User works at Company A" not in found


async def test_similar_statements_about_different_people_both_stay(resources: Resources, namespace: Namespace) -> None:
    """Reported about mem0: similarity tells what a statement is about, and not that it contradicts another one."""
    words = "My favorite football player is Messi", "My brother's favorite football player is Ronaldo"
    ids = await add_memories(resources, namespace, *words)
    assert await current(resources, namespace, ids) == ids
