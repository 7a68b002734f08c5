"""Write a batch of an import in one transaction: every type of row in the order of its references."""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import RowMapping, TextClause
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.content import Content, content_leaves, content_messages
from app.memory.ledger import Kind, NewMemory
from app.memory.ledger.add import build_rows, rows_as_json
from app.memory.namespace import MessageNamespace, Namespace
from app.portability.exports.read_rows import DataScope
from app.portability.imports.parse import ImportRow
from app.portability.imports.write_sql import (
    INSERT_ENTITIES_SQL,
    INSERT_FEEDBACK_SQL,
    INSERT_HISTORY_SQL,
    INSERT_MEMORIES_SQL,
    INSERT_MESSAGES_SQL,
    INSERT_PROFILES_SQL,
    INSERT_SESSIONS_SQL,
    INSERT_USER_PROFILES_SQL,
    SELECT_IDS_TO_RENAME_SQL,
    SELECT_MEMORIES_OF_LINES_SQL,
    SELECT_PROFILES_OF_USERS_SQL,
    SELECT_SESSIONS_OF_MESSAGES_SQL,
)
from app.portability.line_format import ImportedMemory
from app.portability.lines import HistoryLine
from app.profiles.repository import ProfileRepository

Added = tuple[Namespace, NewMemory, dt.datetime]
"""A new memory with its namespace and its version."""
TABLES = {
    "profile": "profiles",
    "session": "sessions",
    "message": "messages",
    "memory": "memories",
    "history": "memory_history",
    "feedback": "feedback",
    "user_profile": "portraits",
    "entity": "entities",
}
REFERENCES = {
    "message": {"session_id": "session"},
    "history": {"memory_id": "memory"},
    "feedback": {"memory_id": "memory"},
    "user_profile": {"memory_ids": "memory"},
}

CONTENT: dict[str, tuple[str, Mapping[str, Callable[[Any, UUID, UUID], object]]]] = {
    "profile": ("id", {"description": Content, "persona": Content}),
    "session": ("id", {"title": Content, "summary": Content}),
    "message": ("id", {"content": Content}),
    "history": ("memory_id", {"old_memory": Content, "new_memory": Content, "input": content_messages}),
    "feedback": ("memory_id", {"reason": Content}),
    "user_profile": ("profile_id", {"content": content_leaves}),
}
"""The field with the id of the record, and how each field with text of users is marked. `build_rows` does so for
memories."""


@dataclass
class WrittenBatch:
    added: Counter[str] = field(default_factory=Counter)
    already_there: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[int, str]] = field(default_factory=list)
    """The number of each line that was left out, and why."""
    memories: list[Added] = field(default_factory=list)


class BatchWriter:
    def __init__(self, tx: AsyncSession, scope: DataScope) -> None:
        self._tx = tx
        self._project_id = scope.project_id
        self._user_id = scope.user_id
        # Without a user, as the first release did it: an import of then and one of now find the same rows.
        self._name_space = uuid.uuid5(scope.project_id, scope.user_id) if scope.user_id else scope.project_id
        self._renamed: dict[tuple[str, UUID], UUID] = {}
        self._profiles: dict[tuple[str, str | None], UUID] = {}
        self.result = WrittenBatch()

    async def write(self, rows: Sequence[ImportRow]) -> WrittenBatch:
        await self._find_renamed(rows)
        by_type = {kind: [row for row in rows if row.type == kind] for kind in TABLES}
        await self._insert("profile", INSERT_PROFILES_SQL, map(self._plain, by_type["profile"]))
        await self._load_profiles(rows)
        await self._insert(
            "session", INSERT_SESSIONS_SQL, [await self._in_profile(each) for each in by_type["session"]]
        )
        await self._write_messages(by_type["message"])
        await self._write_memories(by_type["memory"])
        await self._write_about_memories(by_type)
        await self._insert("entity", INSERT_ENTITIES_SQL, map(self._plain, by_type["entity"]))
        return self.result

    # ids that the file brings

    async def _find_renamed(self, rows: Sequence[ImportRow]) -> None:
        ids: dict[str, set[UUID]] = {}
        for row in rows:
            for kind, each in _ids_of(row):
                ids.setdefault(kind, set()).add(each)
        for kind, found in ids.items():
            given = sorted(found)
            values = {"kind": TABLES[kind], "ids": given, "renamed": [self._rename(each) for each in given]}
            for taken in await self._tx.scalars(SELECT_IDS_TO_RENAME_SQL, values):
                self._renamed[kind, taken] = self._rename(taken)

    def _rename(self, given: UUID) -> UUID:
        return uuid.uuid5(self._name_space, str(given))

    def _id(self, kind: str, given: UUID) -> UUID:
        return self._renamed.get((kind, given), given)

    # rows

    def _plain(self, row: ImportRow) -> tuple[int, dict[str, Any]]:
        assert isinstance(row.line, BaseModel)
        values = row.line.model_dump()
        values["id"] = self._id(row.type, values["id"])
        for name, kind in REFERENCES.get(row.type, {}).items():
            given = values[name]
            values[name] = (
                [self._id(kind, each) for each in given] if isinstance(given, list) else self._id(kind, given)
            )
        return row.number, values

    def _about_memory(self, row: ImportRow) -> tuple[int, dict[str, Any]]:
        number, values = self._plain(row)
        if message := _repeating_message(row):
            values["metadata"] = {**values["metadata"], "message_id": str(self._id("message", message))}
        return number, values

    async def _in_profile(self, row: ImportRow) -> tuple[int, dict[str, Any]]:
        number, values = self._plain(row)
        return number, {**values, "profile_id": await self._profile(values["user_id"], values["profile"])}

    async def _write_messages(self, rows: Sequence[ImportRow]) -> None:
        """A message has the user of its session."""
        found = await self._select(SELECT_SESSIONS_OF_MESSAGES_SQL, rows, "session_id")
        kept = []
        for number, values in map(self._plain, rows):
            if session := found.get(values["session_id"]):
                kept.append((number, {**values, "user_id": session["user_id"]}))
            else:
                self._leave_out(number, "is a message of a session that was not imported")
        await self._insert("message", INSERT_MESSAGES_SQL, kept)

    async def _write_memories(self, rows: Sequence[ImportRow]) -> None:
        placed = [(row, *await self._place(row)) for row in rows]
        values = [
            (row.number, build_rows(namespace, [new], None, deduplicate=False)[0]) for row, namespace, new in placed
        ]
        added = await self._insert("memory", INSERT_MEMORIES_SQL, values)
        fresh = [(row, namespace, new) for row, namespace, new in placed if new.id in added]
        self.result.memories += [(namespace, new, added[new.id]["updated_at"]) for _, namespace, new in fresh]
        foreign = [(row.number, _addition(namespace, new)) for row, namespace, new in fresh if not row.from_export]
        await self._insert("history", INSERT_HISTORY_SQL, foreign, counted=False)

    async def _place(self, row: ImportRow) -> tuple[Namespace, NewMemory]:
        memory = row.line
        assert isinstance(memory, ImportedMemory)
        profile_id = await self._profile(memory.user_id, memory.profile) if memory.user_id is not None else None
        new, replaced_by, message = memory.new, memory.new.replaced_by, memory.new.source_message_id
        coexists_with = [self._id("memory", each) for each in new.coexists_with or ()]
        own = replace(
            new,
            id=self._id("memory", new.id),
            replaced_by=self._id("memory", replaced_by) if replaced_by else None,
            coexists_with=coexists_with or None,
            source_message_id=self._id("message", message) if message else None,
        )
        if new.kind is Kind.MESSAGE:
            return MessageNamespace(self._project_id, memory.user_id, profile_id, new.tenant_id), own
        return Namespace(self._project_id, memory.user_id, profile_id), own

    async def _write_about_memories(self, by_type: Mapping[str, Sequence[ImportRow]]) -> None:
        rows = [*by_type["history"], *by_type["feedback"]]
        found = await self._select(SELECT_MEMORIES_OF_LINES_SQL, rows, "memory_id")
        for kind, statement in (("history", INSERT_HISTORY_SQL), ("feedback", INSERT_FEEDBACK_SQL)):
            kept = []
            for number, values in map(self._about_memory, by_type[kind]):
                if memory := found.get(values["memory_id"]):
                    kept.append((number, {**values, "user_id": memory["user_id"], "kind": memory["kind"]}))
                else:
                    self._leave_out(number, "is about a memory that was not imported")
            await self._insert(kind, statement, kept)
        await self._write_user_profiles(by_type["user_profile"])

    async def _write_user_profiles(self, rows: Sequence[ImportRow]) -> None:
        """A user profile does not outlive a memory that it was generated from."""
        given = [await self._in_profile(row) for row in rows]
        ids = sorted({each for _, values in given for each in values["memory_ids"]})
        found = {row["id"] for row in await self._rows(SELECT_MEMORIES_OF_LINES_SQL, ids=ids)} if ids else set()
        kept = [(number, values) for number, values in given if found >= set(values["memory_ids"])]
        for number in {number for number, _ in given} - {number for number, _ in kept}:
            self._leave_out(number, "is a user profile of memories that were not imported")
        await self._insert("user_profile", INSERT_USER_PROFILES_SQL, kept)

    # profiles

    async def _load_profiles(self, rows: Sequence[ImportRow]) -> None:
        users = {_user_of(row) for row in rows if row.type in ("session", "memory", "user_profile")} - {None}
        for row in await self._rows(SELECT_PROFILES_OF_USERS_SQL, users=sorted(map(str, users))) if users else ():
            self._profiles[row["user_id"], row["name"]] = row["id"]
            if row["is_default"]:
                self._profiles[row["user_id"], None] = row["id"]

    async def _profile(self, user_id: str, name: str | None) -> UUID:
        """The profile of this name, or the default one, created if it does not exist."""
        if (user_id, name) not in self._profiles:
            profiles = ProfileRepository(self._tx, self._project_id)
            default = await profiles.default_of(user_id)
            self._profiles |= {(user_id, None): default.id, (user_id, default.name): default.id}
            if (user_id, name) not in self._profiles:
                created = await profiles.create(user_id, is_default=False, name=name)
                self._profiles[user_id, name] = created.id
        return self._profiles[user_id, name]

    # statements

    async def _insert(
        self, kind: str, statement: TextClause, given: Iterable[tuple[int, Mapping[str, Any]]], *, counted: bool = True
    ) -> dict[UUID, RowMapping]:
        rows = [{**self._marked(kind, values), "place": place} for place, (_, values) in enumerate(given)]
        if not rows:
            return {}
        values = {"rows": rows_as_json(rows), "project_id": self._project_id}
        added = {row["id"]: row for row in (await self._tx.execute(statement, values)).mappings()}
        if counted:
            self.result.added[kind] += len(added)
            self.result.already_there[kind] += len(rows) - len(added)
        return added

    def _marked(self, kind: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values with their content marked, so that an encrypted project stores it sealed."""
        record, columns = CONTENT.get(kind, ("id", {}))
        marked = {
            name: mark(values[name], self._project_id, values[record])
            for name, mark in columns.items()
            if values.get(name) is not None
        }
        return {**values, **marked}

    async def _select(self, statement: TextClause, rows: Sequence[ImportRow], name: str) -> dict[UUID, RowMapping]:
        ids = sorted({self._plain(row)[1][name] for row in rows})
        return {row["id"]: row for row in await self._rows(statement, ids=ids)} if ids else {}

    async def _rows(self, statement: TextClause, **values: object) -> Sequence[RowMapping]:
        found = await self._tx.execute(statement, {"project_id": self._project_id, **values})
        return found.mappings().all()

    def _leave_out(self, number: int, reason: str) -> None:
        self.result.problems.append((number, f"Line {number} of the file {reason}."))


def _ids_of(row: ImportRow) -> Iterable[tuple[str, UUID]]:
    if isinstance(row.line, ImportedMemory):
        new = row.line.new
        yield from [("memory", each) for each in (new.id, new.replaced_by, *(new.coexists_with or ())) if each]
        yield from [("message", new.source_message_id)] if new.source_message_id else []
        return
    if message := _repeating_message(row):
        yield "message", message
    yield row.type, getattr(row.line, "id")  # noqa: B009  # of several models
    for name, kind in REFERENCES.get(row.type, {}).items():
        given = getattr(row.line, name)
        yield from ((kind, each) for each in (given if isinstance(given, list) else [given]))


def _repeating_message(row: ImportRow) -> UUID | None:
    """The message of a session that says a memory again."""
    line = row.line
    if not isinstance(line, HistoryLine) or line.event != "REPEAT":
        return None
    try:
        return UUID(str((line.metadata or {}).get("message_id")))
    except ValueError:
        return None


def _user_of(row: ImportRow) -> str | None:
    user_id: str | None = getattr(row.line, "user_id")  # noqa: B009  # of several models
    return user_id


def _addition(namespace: Namespace, new: NewMemory) -> dict[str, Any]:
    """The history of a memory that comes without one."""
    return {
        "id": uuid.uuid5(new.id, "ADD"),
        "memory_id": new.id,
        "user_id": namespace.user_id,
        **{name: getattr(new.origin, name) for name in ("agent_id", "app_id", "run_id")},
        "kind": new.kind,
        "event": "ADD",
        "new_memory": new.content,
        "metadata": dict(new.metadata),
        "created_at": new.created_at or dt.datetime.now(dt.UTC),
    }
