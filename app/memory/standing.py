"""The standing memories of a profile: read with the session of a chat turn, or on request with a search."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import DateTime, literal, select

from app.core.database.content import MARK
from app.core.resources import Resources
from app.memory.ledger import Memory, MemoryRepository, visible
from app.memory.namespace import Namespace

MAX_STANDING = 40
MAX_CHARACTERS = 30_000
"""A longer memory, as stored, is not read with every turn."""
# The id beside the content is that of its record, so that the connection can open what is sealed.
# A list for the session `s` of a chat turn, as a column of the statement that reads the session. The fact that was
# extracted from a message replaces the message. Sealed content is cut once it is opened.
SELECT_STANDING_SQL = f"""
select jsonb_agg(to_jsonb(found) order by found.created_at desc, found.id desc) from (
  select m.id, case when starts_with(m.content, '{MARK}') then m.content else left(m.content, {MAX_CHARACTERS}) end
    as content, m.kind, m.role, m.source, m.agent_id, m.app_id,
    m.created_at
  from memories m
  where m.standing and m.namespace = s.project_id || ':' || s.profile_id
    and m.project_id = s.project_id and m.user_id = s.user_id and m.kind <> 'message'
    and length(m.content) <= {MAX_CHARACTERS} and m.archived_at is null and m.replaced_by is null
    and (m.expires_on is null or m.expires_on >= (now() at time zone 'UTC')::date)
    and not (m.kind = 'episode' and m.source_message_id is not null and exists (
      select from memories f where f.standing and f.namespace = m.namespace and f.project_id = m.project_id
        and f.kind = 'fact' and f.source_message_id = m.source_message_id and f.archived_at is null
        and f.replaced_by is null))
  order by m.created_at desc, m.id desc limit {MAX_STANDING}
) found"""  # noqa: S608  # only numbers are put in


@dataclass(frozen=True, slots=True)
class StandingMemory:
    id: UUID
    content: str
    kind: str
    role: str
    source: str | None
    agent_id: str | None
    app_id: str | None
    created_at: dt.datetime

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Self:
        created_at = dt.datetime.fromisoformat(found["created_at"])
        content = found["content"][:MAX_CHARACTERS]
        return cls(**{**found, "id": UUID(found["id"]), "content": content, "created_at": created_at})


async def load_standing(
    resources: Resources,
    project_id: UUID,
    namespaces: Sequence[Namespace] | None,
    as_of: dt.datetime | None = None,
) -> list[Memory]:
    """Newest first. None is the whole project, as in a search."""
    moment = None if as_of is None else literal(as_of, DateTime(timezone=True))
    async with resources.database.transaction(project_id) as tx:
        found = select(Memory).where(*MemoryRepository(tx, project_id).mine(), Memory.standing, *visible(as_of=moment))
        if namespaces is not None:
            found = found.where(Memory.namespace.in_([str(each) for each in namespaces]))
        newest = found.order_by(Memory.created_at.desc(), Memory.id.desc()).limit(MAX_STANDING)
        return list(await tx.scalars(newest))
