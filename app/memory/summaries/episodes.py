"""Which episodes may be folded into a summary, and in which groups."""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database

UNUSED_DAYS = 90
Item = TypeVar("Item")
MIN_EPISODES, MAX_EPISODES = 5, 30
MAX_SPAN = dt.timedelta(days=31)
"""Between the first and the last episode of a summary, because the summary is as old as the last one."""
MAX_EPISODE_CHARACTERS = 2_000
"""A longer episode stays: a summary would lose most of it."""
MAX_GROUP_CHARACTERS = 12_000
MAX_READ = 10_000
"""Of one namespace at once, the oldest ones."""
# The last condition leaves out words that wait for extraction. An episode with a date of expiry leaves by itself, and
# the words of a summary would stay. An episode that was restored by a request stays.
FOLDABLE = f"""
m.project_id = :project_id and m.kind = 'episode' and m.replaced_by is null and m.archived_at is null
  and not m.immutable and not m.standing and m.expires_on is null and m.coexists_with is null
  and greatest(m.created_at, m.updated_at, m.accessed_at[cardinality(m.accessed_at)])
    < now() - interval '{UNUSED_DAYS} days'
  and (m.user_id is null or m.user_id not in (select private.held_users()))
  and m.hash <> sha256(convert_to('interim', 'UTF8') || uuid_send(m.id))
"""
SELECT_NAMESPACES_WITH_FOLDABLE_SQL = text(f"""
select m.namespace from memories m where {FOLDABLE}
group by m.namespace having count(*) >= {MIN_EPISODES} order by m.namespace
""")  # noqa: S608  # only our own conditions are put together
SELECT_FOLDABLE_SQL = text(f"""
select m.id, m.user_id, m.profile_id, m.agent_id, m.app_id, m.run_id, m.role, m.source, m.door, m.content, m.hash,
  m.metadata::text as metadata, m.categories, m.importance, m.source_message_id is not null as is_of_chat, m.created_at
from memories m where {FOLDABLE} and m.namespace = :namespace order by m.created_at, m.id limit {MAX_READ}
""")  # noqa: S608
LOCK_FOLDABLE_SQL = text(f"""
select m.id, m.hash from memories m where {FOLDABLE} and m.id = any(cast(:ids as uuid[])) order by m.id for update
""")  # noqa: S608


class Episode(NamedTuple):
    id: UUID
    user_id: str | None
    profile_id: UUID | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    role: str
    source: str | None
    door: str | None
    content: str
    hash: bytes
    metadata: str
    """As JSON text."""
    categories: list[str] | None
    importance: float | None
    is_of_chat: bool
    created_at: dt.datetime

    @property
    def scope(self) -> tuple[str | None, ...]:
        """What the episodes of a summary have in common, so that every filter finds the summary that found them.
        Outside chats, the run is part of it; in chats, it is the session."""
        run_id = None if self.is_of_chat else self.run_id
        return self.agent_id, self.app_id, run_id, self.role, self.metadata


class Foldable(NamedTuple):
    """How much there is to fold."""

    groups: int = 0
    episodes: int = 0


Group = Sequence[Episode]


def group_episodes(episodes: Group) -> list[Group]:
    """In order of time. Conversations stay whole where they fit, and short ones share a summary."""
    scopes: dict[object, list[Episode]] = defaultdict(list)
    for each in sorted(episodes, key=lambda each: (each.created_at, each.id)):
        if len(each.content) <= MAX_EPISODE_CHARACTERS:
            scopes[each.scope].append(each)
    groups = [group for scope in scopes.values() for group in _pack(scope)]
    return sorted((group for group in groups if len(group) >= MIN_EPISODES), key=lambda group: group[0].created_at)


def _pack(scope: Group) -> Iterator[Group]:
    conversations: dict[str | None, list[Episode]] = defaultdict(list)
    for each in scope:
        conversations[each.run_id].append(each)
    short: list[Episode] = []
    for part in (part for each in conversations.values() for part in _split(each)):
        if len(part) >= MIN_EPISODES:
            yield part
        elif _fits([*short, *part]):
            short += part
        else:
            yield short
            short = [*part]
    yield short


def _split(conversation: Group) -> Iterator[Group]:
    """A long conversation into parts of about the same length."""
    parts = math.ceil(len(conversation) / MAX_EPISODES)
    size = math.ceil(len(conversation) / parts)
    part: list[Episode] = []
    for each in conversation:
        if len(part) == size or not _fits([*part, each]):
            yield part
            part = []
        part.append(each)
    yield part


def _fits(group: Group) -> bool:
    times = [each.created_at for each in group]
    return (
        len(group) <= MAX_EPISODES
        and sum(len(each.content) for each in group) <= MAX_GROUP_CHARACTERS
        and max(times) - min(times) <= MAX_SPAN
    )


async def find_groups(database: Database, project_id: UUID, most: int, start: int) -> list[tuple[str, Group]]:
    """Each with its namespace. `start` chooses where to begin, so that a group that cannot be folded delays the others
    for a day only."""
    found: list[tuple[str, Group]] = []
    for namespace in _rotate(await _load_namespaces(database, project_id), start):
        groups = _rotate(await _load_groups(database, project_id, namespace), start)
        found += [(namespace, group) for group in groups]
        if len(found) >= most:
            break
    return found[:most]


async def count_foldable(database: Database, project_id: UUID) -> Foldable:
    count = Foldable()
    for namespace in await _load_namespaces(database, project_id):
        groups = await _load_groups(database, project_id, namespace)
        count = Foldable(count.groups + len(groups), count.episodes + sum(map(len, groups)))
    return count


def _rotate(items: Sequence[Item], start: int) -> list[Item]:
    at = start % len(items) if items else 0
    return [*items[at:], *items[:at]]


async def _load_namespaces(database: Database, project_id: UUID) -> list[str]:
    rows = await database.pipeline(project_id, None, (SELECT_NAMESPACES_WITH_FOLDABLE_SQL, {"project_id": project_id}))
    return [row.namespace for row in rows]


async def _load_groups(database: Database, project_id: UUID, namespace: str) -> list[Group]:
    values = {"project_id": project_id, "namespace": namespace}
    rows = await database.pipeline(project_id, None, (SELECT_FOLDABLE_SQL, values))
    return group_episodes([Episode._make(row) for row in rows])
