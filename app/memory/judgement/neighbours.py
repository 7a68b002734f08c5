"""The statements near to new ones that may contradict them: same namespace, same agent, app and run, said by a user."""

import datetime as dt
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database
from app.core.ports import Role
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace

# A run of a chat is a session: what a user says in one replaces what the same user said in another. The position in the
# history tells the order of memories that were added at once.
_SELECTED = """
m.id, m.namespace, m.content, m.event_id, m.created_at,
  coalesce((select min(h.position) from memory_history h
    where h.project_id = m.project_id and h.memory_id = m.id and h.event = 'ADD'), 0) as position,
  concat_ws(E'\\x1f', coalesce(m.agent_id, ''), coalesce(m.app_id, ''),
    case when m.source_message_id is null then coalesce(m.run_id, '') else '' end) as scope, m.hash
"""
# A filter that finds one of two memories must find what they are merged into.
_SELECTED_TO_MERGE = f"""{_SELECTED},
  sha256(convert_to(concat_ws(E'\\x1f', m.kind, coalesce(m.tenant_id, ''), coalesce(m.expires_on::text, ''),
    m.metadata::text), 'UTF8')) as alike, m.standing,
  coalesce(array_position(array['import', 'tool', 'assistant'], m.source), 4) as trust,
  coalesce(m.coexists_with, array[]::uuid[]) as coexists
"""
_COUNTS = """
m.project_id = :project_id and m.role = :role and m.kind not in ('message', 'summary')
  and m.replaced_by is null and m.archived_at is null and not m.immutable
  and m.hash <> sha256(convert_to('interim', 'UTF8') || uuid_send(m.id))
"""
SELECT_STATEMENTS_SQL = text(f"""
select {_SELECTED} from memories m where {_COUNTS} and m.id = any(cast(:ids as uuid[]))
""")  # noqa: S608  # only our own text is put together
SELECT_STATEMENTS_PAGE_SQL = text(f"""
select {_SELECTED_TO_MERGE} from memories m where {_COUNTS} and m.namespace = :namespace and m.id > :after
order by m.id limit :batch
""")  # noqa: S608
SEPARATOR = "\x1f"


class Statement(NamedTuple):
    """What is compared of a memory."""

    id: UUID
    namespace: str
    content: str
    event_id: UUID | None
    created_at: dt.datetime
    position: int
    scope: str
    """The agent, the app and, outside chats, the run."""
    hash: bytes | None = None
    """Of the content, so that no decision about it is recorded once it has changed. None if it is no row yet."""
    alike: bytes = b""
    """Two statements are merged only if they have the same one. Only pages have this, and what follows."""
    standing: bool = False
    trust: int = 0
    coexists: Collection[UUID] = ()
    """The statements that a request keeps beside this one."""

    @classmethod
    def of_new(cls, namespace: Namespace, memory: NewMemory) -> Self:
        """Of a memory that is no row yet, which comes after all others of its time."""
        origin = memory.origin
        run_id = origin.run_id if memory.source_message_id is None else None
        scope = SEPARATOR.join(part or "" for part in (origin.agent_id, origin.app_id, run_id))
        created_at = memory.created_at or dt.datetime.now(dt.UTC)
        return cls(memory.id, str(namespace), memory.content, None, created_at, sys.maxsize, scope)

    @property
    def told(self) -> tuple[dt.datetime, int]:
        """Orders statements by when they were told."""
        return self.created_at, self.position


@dataclass(frozen=True, slots=True)
class Pair:
    new: Statement
    old: Statement

    @classmethod
    def of(cls, one: Statement, other: Statement) -> Self | None:
        """None if they are about different things, or if nothing tells which is newer."""
        if one.scope != other.scope or one.namespace != other.namespace or one.told == other.told:
            return None
        return cls(*sorted((one, other), key=lambda each: each.told, reverse=True))


async def load_statements(database: Database, project_id: UUID, ids: Collection[UUID]) -> dict[UUID, Statement]:
    """Those of the memories that count: statements of users that are true until something replaces them."""
    values = {"project_id": project_id, "ids": list(ids), "role": Role.USER.value}
    rows = await database.pipeline(project_id, None, (SELECT_STATEMENTS_SQL, values))
    return {row.id: Statement(*row) for row in rows}


async def load_statements_page(
    database: Database, project_id: UUID, namespace: str, after: UUID, batch: int
) -> list[Statement]:
    values = {"project_id": project_id, "role": Role.USER.value}
    page = {"namespace": namespace, "after": after, "batch": batch}
    rows = await database.pipeline(project_id, None, (SELECT_STATEMENTS_PAGE_SQL, {**values, **page}))
    return [Statement(*row) for row in rows]


def build_pairs(near: Mapping[UUID, Sequence[UUID]], statements: Mapping[UUID, Statement]) -> list[Pair]:
    """The newer ones in the order in which they were told, so that of three values each replaces the one before."""
    found = {
        (pair.new.id, pair.old.id): pair
        for id_, others in near.items()
        for other in others
        if id_ in statements and other in statements and (pair := Pair.of(statements[id_], statements[other]))
    }
    return sorted(found.values(), key=lambda pair: (pair.new.told, pair.old.told))
