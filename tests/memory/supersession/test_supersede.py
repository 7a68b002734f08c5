"""A superseded memory leaves what shows current memories, on every path, and its chain stays whole."""

import asyncio
import contextlib
import datetime as dt
import random
import uuid
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.errors import NotFound
from app.core.resources import Resources
from app.memory.archive import restore_memory
from app.memory.edit import Owner
from app.memory.extraction.known import KnownMemories
from app.memory.forget import forget
from app.memory.ledger import Memory
from app.memory.namespace import Namespace
from app.memory.supersession import Replacement, supersede
from tests.memory.namespaces import (
    add_memories,
    contents,
    create_namespace,
    execute_sql,
    load_history,
    load_memory,
    search,
    wait_until_indexed,
)
from tests.rows import Corner, fill

TRIP_A, TRIP_B, TRIP_C = "I visited Alder", "I visited Birch", "I visited Cedar"
INSERT_CHAIN_SQL = text("""
with links as (
  select n, md5(:id || '-' || n)::uuid as id, md5(:id || '-' || (n + 1))::uuid as next from generate_series(1, :links) n
)
insert into memories (id, project_id, user_id, profile_id, namespace, kind, content, hash, replaced_by, valid_until)
select l.id, m.project_id, m.user_id, m.profile_id, m.namespace, m.kind, 'link ' || l.n,
  decode(md5('link ' || l.n), 'hex'),
  case when l.n < :links then l.next end, case when l.n < :links then now() end
from links l, memories m where m.id = cast(:id as uuid)
returning id
""")
NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


async def replace(
    resources: Resources, namespace: Namespace, *pairs: tuple[UUID, UUID], at: dt.datetime | None = None
) -> list[str]:
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        return [*await supersede(tx, namespace.project_id, [Replacement(old, new, at) for old, new in pairs])]


async def load(resources: Resources, namespace: Namespace, memory_id: UUID) -> Memory:
    memory = await load_memory(resources, namespace, memory_id)
    assert memory is not None
    return memory


async def chain(resources: Resources, namespace: Namespace, ids: Sequence[UUID]) -> list[UUID | None]:
    return [(await load(resources, namespace, each)).replaced_by for each in ids]


async def test_superseded_memory_leaves_recall_and_known_facts_and_can_be_said_again(
    resources: Resources, namespace: Namespace
) -> None:
    old, new = await add_memories(resources, namespace, TRIP_A, TRIP_B)
    assert await replace(resources, namespace, (old, new), at=NOON) == ["superseded"]
    await wait_until_indexed(resources, namespace)
    assert contents(await search(resources, namespace, "Where have I been?")) == [TRIP_B]
    ((known, *more),) = await KnownMemories(resources, namespace).search([TRIP_A], 5)
    assert (known.id, more) == (new, [])
    (again,) = await add_memories(resources, namespace, TRIP_A)
    assert again not in (old, new)


async def test_both_memories_tell_their_history_and_dates(resources: Resources, namespace: Namespace) -> None:
    old, new = await add_memories(resources, namespace, TRIP_A, TRIP_B)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert await replace(resources, namespace, (old, new), (old, new), at=later) == ["superseded", "unchanged"]
    assert await replace(resources, namespace, (old, new)) == ["unchanged"]
    first, second = await load(resources, namespace, old), await load(resources, namespace, new)
    assert (first.replaced_by, first.valid_until, first.valid_from) == (new, later, None)
    assert (second.replaced_by, second.valid_until, second.valid_from) == (None, None, later)
    of_old, of_new = [await load_history(resources, namespace, each) for each in (old, new)]
    assert [(each.event, each.metadata_, each.user_id) for each in of_old[1:]] == [
        ("SUPERSEDE", {"replaced_by": str(new)}, namespace.user_id)
    ]
    assert [(each.event, each.metadata_, each.new_memory) for each in of_new[1:]] == [
        ("REPLACE", {"replaced": [str(old)]}, None)
    ]


async def test_memory_is_valid_until_its_successor_began_and_never_ends_before_it_began(
    resources: Resources, namespace: Namespace
) -> None:
    old, new = await add_memories(resources, namespace, TRIP_A, TRIP_B, created_at=NOON)
    (other,) = await add_memories(resources, namespace, TRIP_C, created_at=NOON + dt.timedelta(days=1))
    await replace(resources, namespace, (old, other))
    await replace(resources, namespace, (new, other), at=NOON - dt.timedelta(days=9))
    until = [(await load(resources, namespace, each)).valid_until for each in (old, new)]
    assert until == [NOON + dt.timedelta(days=1), NOON]
    assert (await load(resources, namespace, other)).valid_from == NOON - dt.timedelta(days=9)


async def test_refused_replacement_changes_nothing(resources: Resources, namespace: Namespace) -> None:
    elsewhere = await create_namespace(resources, namespace.project_id, "bob")
    old, new, third = await add_memories(resources, namespace, TRIP_A, TRIP_B, TRIP_C)
    (of_bob,) = await add_memories(resources, elsewhere, TRIP_A)
    (immutable,) = await add_memories(resources, namespace, "I was born in Ulm", immutable=True)
    pairs = [(old, uuid.uuid4()), (old, of_bob), (immutable, new), (old, new), (old, third), (new, old)]
    async with resources.database.transaction(namespace.project_id) as tx:
        outcomes = await supersede(tx, namespace.project_id, [Replacement(*pair) for pair in pairs])
    expected = ["not_found", "other_namespace", "immutable", "superseded", "already_superseded", "cycle"]
    assert list(outcomes) == expected
    assert await chain(resources, namespace, [old, new, third, immutable]) == [new, None, None, None]
    assert (await load(resources, elsewhere, of_bob)).replaced_by is None
    assert await replace(resources, elsewhere, (new, of_bob)) == ["not_found"], "of another user"


async def test_two_successors_at_once_make_one_link_and_a_ring_never_closes(
    resources: Resources, namespace: Namespace
) -> None:
    a, b, c, d = await add_memories(resources, namespace, TRIP_A, TRIP_B, TRIP_C, "I visited Dogwood")
    outcomes = await asyncio.gather(
        replace(resources, namespace, (a, b)),
        replace(resources, namespace, (a, c)),
        replace(resources, namespace, (a, d)),
    )
    assert sorted(each for (each,) in outcomes) == ["already_superseded", "already_superseded", "superseded"]
    x, y, u, v = await add_memories(resources, namespace, *(f"I visited street {each}" for each in "1234"))
    assert await replace(resources, namespace, (y, u), (v, x)) == ["superseded"] * 2
    ring = await asyncio.gather(replace(resources, namespace, (x, y)), replace(resources, namespace, (u, v)))
    assert sorted(each for (each,) in ring) == ["cycle", "superseded"]


@pytest.mark.long
async def test_replacing_deleting_and_restoring_at_once_never_block_each_other(
    resources: Resources, namespace: Namespace
) -> None:
    chance = random.Random(1)

    async def restore(memory_id: UUID) -> None:
        with contextlib.suppress(NotFound):
            await restore_memory(resources, Owner(namespace.project_id), memory_id)

    async def work(ids: list[UUID]) -> None:
        kind = chance.choice(("replace", "forget", "restore"))
        pairs = [(one, other) for one, other in (chance.sample(ids, 2) for _ in range(3))]
        if kind == "replace":
            await replace(resources, namespace, *pairs)
        elif kind == "forget":
            await forget(resources, namespace, pairs[0])
        else:
            await restore(ids[0])

    for number in range(60):
        ids = await add_memories(
            resources, namespace, *(f"I visited street {number}, house {each}" for each in range(8))
        )
        await asyncio.gather(*(work(ids) for _ in range(14)))


async def test_deleting_links_the_neighbours_and_leaves_the_rest_superseded(
    resources: Resources, namespace: Namespace
) -> None:
    a, b, c, d = await add_memories(resources, namespace, TRIP_A, TRIP_B, TRIP_C, "I visited Dogwood")
    await replace(resources, namespace, (a, b), (b, c), (c, d))
    await forget(resources, namespace, [b, c])
    assert await chain(resources, namespace, [a, d]) == [d, None]
    await forget(resources, namespace, [d])
    assert await chain(resources, namespace, [a]) == [d]
    await wait_until_indexed(resources, namespace)
    assert contents(await search(resources, namespace, "Where have I been?")) == []


async def test_restored_memory_is_current_beside_its_successor_for_good(
    resources: Resources, namespace: Namespace
) -> None:
    old, new = await add_memories(resources, namespace, TRIP_A, TRIP_B)
    await replace(resources, namespace, (old, new))
    restored = await restore_memory(resources, Owner(namespace.project_id), old)
    assert (restored.replaced_by, restored.valid_until, restored.coexists_with) == (None, None, [new])
    assert set(contents(await search(resources, namespace, "Where have I been?"))) == {TRIP_A, TRIP_B}
    assert await replace(resources, namespace, (old, new)) == ["undone"]
    assert [each.event for each in await load_history(resources, namespace, old)] == ["ADD", "SUPERSEDE", "RESTORE"]
    async with resources.database.transaction(namespace.project_id) as tx:
        again = await supersede(tx, namespace.project_id, [Replacement(old, new)], even_if_undone=True)
    assert list(again) == ["superseded"]
    assert (await load(resources, namespace, old)).coexists_with is None


async def test_superseding_tells_webhooks_and_deletes_the_user_profile_on_every_path(
    resources: Resources, database: Database, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    corner = Corner(project_id, "anna")
    await fill(admin_engine, corner)
    place = {"id": corner.memory_id, "new": uuid.uuid4()}
    async with database.transaction(project_id) as tx:
        hook = await tx.scalar(
            text(
                "insert into webhooks (project_id, name, url, event_types) values (:id, 'H', 'http://x', :types)"
                " returning id"
            ),
            {"id": project_id, "types": ["memory_supersede"]},
        )
        await tx.execute(text("update memories set replaced_by = :new where id = :id"), place)
        assert list(await tx.scalars(text("select id from portraits"))) == []
        told = await tx.execute(
            text("select event_type, memory_id from webhook_deliveries d where d.webhook_id = :h"), {"h": hook}
        )
        assert [tuple(row) for row in told] == [("memory_supersede", corner.memory_id)]


@pytest.mark.parametrize("user", ["ann", None])
async def test_statement_that_only_names_the_successor_dates_the_replacement(
    resources: Resources, namespace: Namespace, user: str | None
) -> None:
    """As an earlier version does, and a file of it."""
    (old,) = await add_memories(resources, namespace, TRIP_A)
    (new,) = await add_memories(resources, namespace, TRIP_B, created_at=NOON + dt.timedelta(days=3650))
    sql = "update memories set replaced_by = :new where id = :old"
    await execute_sql(resources, namespace, sql, old=old, new=new if user else uuid.uuid4())
    memory = await load(resources, namespace, old)
    assert memory.valid_until is not None
    assert (memory.valid_until == NOON + dt.timedelta(days=3650)) is (user is not None)
    await execute_sql(resources, namespace, "update memories set replaced_by = null where id = :old", old=old)
    assert (await load(resources, namespace, old)).valid_until is None


async def test_long_chain_is_deleted_within_the_time_of_a_statement(
    resources: Resources, namespace: Namespace, admin_engine: AsyncEngine
) -> None:
    """The work grows with the length of the chain, and not with its square."""
    (first,) = await add_memories(resources, namespace, TRIP_A)
    async with admin_engine.begin() as connection:
        rows = await connection.execute(INSERT_CHAIN_SQL, {"id": str(first), "links": 3000})
        ids = [row.id for row in rows]
    async with resources.database.transaction(namespace.project_id) as tx:
        await tx.execute(text("set local statement_timeout = '10s'"))
        await tx.execute(text("delete from memories where id = any(:ids)"), {"ids": ids})
    assert (await load(resources, namespace, first)).replaced_by is None
