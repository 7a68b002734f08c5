"""Read the rows of an export in batches, each in a transaction of its own, so that an export of any size takes little
memory and holds no connection while its file is written."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text

from app.core.database.database import Database
from app.core.storable_text import is_blank
from app.portability.line_format import EXPORTED_FIELDS, memory_line
from app.portability.lines import (
    EntityLine,
    FeedbackLine,
    HistoryLine,
    MessageLine,
    ProfileLine,
    SessionLine,
    UserProfileLine,
)

BATCH_SIZE = 200
SESSIONS_PER_BATCH = 50
FIRST_ID = UUID(int=0)
STATEMENT_TIMEOUT = "60s"
ExportLine = dict[str, object]


@dataclass(frozen=True, slots=True)
class DataScope:
    """Whose data an export contains or an import writes: a project's, or those of one user in it."""

    project_id: UUID
    user_id: str | None = None


def _columns(names: Sequence[str], table: str = "x") -> str:
    return ", ".join(f"{table}.{name}" for name in names)


_MINE = "x.project_id = :project_id and (cast(:user_id as text) is null or x.user_id = :user_id)"
_PROFILE = "join profiles p on p.project_id = x.project_id and p.user_id = x.user_id and p.id = x.profile_id"
_OWN_SESSION_FIELDS = [name for name in SessionLine.model_fields if name != "profile"]
_OWN_USER_PROFILE_FIELDS = [name for name in UserProfileLine.model_fields if name != "profile"]
_OWN_MESSAGE_FIELDS = [name for name in MessageLine.model_fields if name != "ends_summary"]
_OWN_ENTITY_FIELDS = [name for name in EntityLine.model_fields if name != "entity_type"]
# Names sort alike everywhere, whatever the collation of the database, and the default profile of a user comes first.
SELECT_PROFILES_SQL = text(f"""
select {_columns(list(ProfileLine.model_fields))} from profiles x
where {_MINE} and (x.user_id collate "C", not x.is_default, x.id) > (:after_user, :after_rank, :after)
order by x.user_id collate "C", not x.is_default, x.id limit :most
""")  # noqa: S608  # only our own column names are put together
SELECT_SESSIONS_SQL = text(f"""
select {_columns(_OWN_SESSION_FIELDS)}, p.name as profile, x.summary_through from sessions x {_PROFILE}
where {_MINE} and x.id > :after order by x.id limit :most
""")  # noqa: S608
SELECT_MESSAGES_SQL = text(f"""
select {_columns(_OWN_MESSAGE_FIELDS)}, x.position from sessions s
join messages x on x.project_id = s.project_id and x.user_id = s.user_id and x.session_id = s.id
where s.project_id = :project_id and s.id = any(:sessions) and (x.session_id, x.position) > (:after_session, :after)
order by x.session_id, x.position limit :most
""")  # noqa: S608
SELECT_MEMORIES_SQL = text(f"""
select {_columns(list(EXPORTED_FIELDS))}, p.name as profile from memories x
left {_PROFILE}
where {_MINE} and x.id > :after order by x.id limit :most
""")  # noqa: S608
SELECT_HISTORY_SQL = text(f"""
select {_columns(list(HistoryLine.model_fields))} from memory_history x
where {_MINE} and x.memory_id = any(:ids) order by x.memory_id, x.position
""")  # noqa: S608
SELECT_FEEDBACK_SQL = text(f"""
select {_columns(list(FeedbackLine.model_fields))} from feedback x
where x.project_id = :project_id and x.memory_id = any(:ids) order by x.memory_id, x.id
""")  # noqa: S608
SELECT_USER_PROFILES_SQL = text(f"""
select {_columns(_OWN_USER_PROFILE_FIELDS)}, x.profile_id, p.name as profile from portraits x {_PROFILE}
where {_MINE} and x.id > :after order by x.id limit :most
""")  # noqa: S608
SELECT_ENTITIES_SQL = text(f"""
select {_columns(_OWN_ENTITY_FIELDS)}, x.type as entity_type from entities x
where {_MINE} and x.id > :after order by x.id limit :most
""")  # noqa: S608
SELECT_ACCOUNT_SQL = text("select id, email, metadata, created_at from private.exported_account(:account)")
COUNT_ROWS_SQL = text(f"""
select (select count(*) from profiles x where {_MINE}) + (select count(*) from sessions x where {_MINE})
  + (select count(*) from messages x where {_MINE}) + (select count(*) from memories x where {_MINE}) as count
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class RowReader:
    """The lines of one export, in the order of the file."""

    database: Database
    scope: DataScope

    async def count(self) -> int:
        [row] = await self._select(COUNT_ROWS_SQL)
        return int(row["count"])

    async def read(self) -> AsyncIterator[Sequence[ExportLine]]:
        """Never an empty batch. References point backwards: what a line names has a line before it."""
        for section in (
            self._accounts,
            self._profiles,
            self._sessions,
            self._memories,
            self._user_profiles,
            self._entities,
        ):
            async for lines in section():
                if lines:
                    yield lines

    async def _accounts(self) -> AsyncIterator[Sequence[ExportLine]]:
        account = _as_uuid(self.scope.user_id)
        if account:
            rows = await self._select(SELECT_ACCOUNT_SQL, account=account)
            yield [{"type": "account", **row} for row in rows]

    async def _profiles(self) -> AsyncIterator[Sequence[ExportLine]]:
        after: dict[str, object] = {"after_user": "", "after_rank": False, "after": FIRST_ID}
        while rows := await self._select(SELECT_PROFILES_SQL, most=BATCH_SIZE, **after):
            yield _lines("profile", ProfileLine.model_fields, rows)
            after = {
                "after_user": rows[-1]["user_id"],
                "after_rank": not rows[-1]["is_default"],
                "after": rows[-1]["id"],
            }

    async def _sessions(self) -> AsyncIterator[Sequence[ExportLine]]:
        """Each batch of sessions is followed by the messages of all of them."""
        after = FIRST_ID
        while rows := await self._select(SELECT_SESSIONS_SQL, after=after, most=SESSIONS_PER_BATCH):
            yield _lines("session", SessionLine.model_fields, rows)
            ends = {(row["id"], row["summary_through"]) for row in rows}
            async for messages in self._messages([row["id"] for row in rows]):
                yield [_message_line(row, ends) for row in messages]
            after = rows[-1]["id"]

    async def _messages(self, sessions: Sequence[UUID]) -> AsyncIterator[Sequence[RowMapping]]:
        session, after = FIRST_ID, 0
        values = {"sessions": list(sessions), "most": BATCH_SIZE}
        while rows := await self._select(SELECT_MESSAGES_SQL, after_session=session, after=after, **values):
            yield rows
            session, after = rows[-1]["session_id"], rows[-1]["position"]

    async def _memories(self) -> AsyncIterator[Sequence[ExportLine]]:
        """Each memory is followed by its history and its feedback."""
        after = FIRST_ID
        while rows := await self._select(SELECT_MEMORIES_SQL, after=after, most=BATCH_SIZE):
            # Earlier versions could store a blank memory. No import takes it, so it is not exported.
            ids = [row["id"] for row in rows if not is_blank(row["content"])]
            history = _by_memory("history", await self._select(SELECT_HISTORY_SQL, ids=ids))
            feedback = _by_memory("feedback", await self._select(SELECT_FEEDBACK_SQL, ids=ids))
            lines = {row["id"]: memory_line(row) for row in rows}
            yield [line for each in ids for line in (lines[each], *history.get(each, ()), *feedback.get(each, ()))]
            after = rows[-1]["id"]

    async def _user_profiles(self) -> AsyncIterator[Sequence[ExportLine]]:
        after = FIRST_ID
        while rows := await self._select(SELECT_USER_PROFILES_SQL, after=after, most=BATCH_SIZE):
            yield _lines("user_profile", UserProfileLine.model_fields, rows)
            after = rows[-1]["id"]

    async def _entities(self) -> AsyncIterator[Sequence[ExportLine]]:
        after = FIRST_ID
        while rows := await self._select(SELECT_ENTITIES_SQL, after=after, most=BATCH_SIZE):
            yield _lines("entity", EntityLine.model_fields, rows)
            after = rows[-1]["id"]

    async def _select(self, statement: TextClause, **values: Any) -> Sequence[RowMapping]:
        scope = self.scope
        async with self.database.transaction(
            scope.project_id, scope.user_id, statement_timeout=STATEMENT_TIMEOUT
        ) as tx:
            found = await tx.execute(statement, {"project_id": scope.project_id, "user_id": scope.user_id, **values})
            return found.mappings().all()


def _lines(kind: str, fields: Mapping[str, object], rows: Sequence[RowMapping]) -> list[ExportLine]:
    return [{"type": kind, **{name: row[name] for name in fields}} for row in rows]


def _message_line(row: RowMapping, ends: set[tuple[UUID, int | None]]) -> ExportLine:
    [line] = _lines("message", dict.fromkeys(_OWN_MESSAGE_FIELDS), [row])
    return {**line, "ends_summary": (row["session_id"], row["position"]) in ends}


def _by_memory(kind: str, rows: Sequence[RowMapping]) -> dict[UUID, list[ExportLine]]:
    found: dict[UUID, list[ExportLine]] = {}
    for row in rows:
        found.setdefault(row["memory_id"], []).append({"type": kind, **row})
    return found


def _as_uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
