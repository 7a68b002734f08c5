"""The tables that an erasure empties, in order, and which of their rows belong to its subject.

Every condition takes the same parameters: those that do not apply are null or empty and match nothing.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text

from app.erasure.models import ErasureScope

_ENTITY = "x.agent_id = :agent_id or x.app_id = :app_id or x.run_id = :run_id"
_OF_SESSIONS = "x.session_id = any(:session_ids) or x.user_id = :user_id"
_EXPORTS = (
    "x.user_id is null or x.user_id = :user_id or x.user_id = :owner_id or x.user_id in"
    " (select m.user_id from public.memories m where m.project_id = x.project_id and m.id = any(:memory_ids))"
)
BATCH_SIZE = 5000


@dataclass(frozen=True, slots=True)
class ErasedTable:
    """`name` is the store's name in a receipt. With `replaced`, the rows stay and lose their content."""

    name: str
    table: str
    where: str
    replaced: str | None = None

    @property
    def count_sql(self) -> str:
        return f"select count(*) from public.{self.table} x where {self._mine}"  # noqa: S608

    @property
    def remove_sql(self) -> TextClause:
        """One batch. Returns its size."""
        batch = f"select x.id from public.{self.table} x where {self._mine} limit {BATCH_SIZE}"  # noqa: S608
        change = "delete from {}" if self.replaced is None else "update {} set " + self.replaced  # noqa: S608
        what = change.format(f"public.{self.table}")
        return text(f"with gone as ({what} where id in ({batch}) returning 1) select count(*) from gone")  # noqa: S608

    @property
    def _mine(self) -> str:
        return f"x.project_id = :project_id and ({self.where})"


MEMORIES = ErasedTable(
    "memories",
    "memories",
    "x.id = any(:memory_ids) or x.user_id = :user_id"
    f" or (x.user_id = :owner_id and x.profile_id = any(:profile_ids)) or {_ENTITY}",
)
PROFILES = ErasedTable("profiles", "profiles", "x.id = any(:profile_ids) or x.user_id = :user_id")
BEFORE_MEMORIES = (
    # The requests to the memory engine. Those of a namespace also have its id, so that late ones are found.
    ErasedTable(
        "events",
        "events",
        "x.id = any(:event_ids) or x.user_id = :user_id or x.namespace = any(:namespaces)"
        " or x.session_id = any(:session_ids) or x.request ->> 'agent_id' = :agent_id"
        " or x.request ->> 'app_id' = :app_id or x.request ->> 'run_id' = :run_id",
    ),
    ErasedTable(
        "user_profiles",
        "portraits",
        "x.user_id = :user_id or (x.user_id = :owner_id"
        " and (x.profile_id = any(:profile_ids) or x.memory_ids && cast(:memory_ids as uuid[])))",
    ),
    ErasedTable("user_profile_jobs", "portrait_jobs", "x.user_id = :user_id"),
    ErasedTable("feedback", "feedback", "x.memory_id = any(:memory_ids) or x.user_id = :user_id"),
    # Those of an end user, and those of an application whose filters name the subject.
    ErasedTable(
        "memory_exports",
        "memory_exports",
        "x.user_id = :user_id or exists (select from unnest(cast(:names as text[])) name"
        " where jsonb_path_exists(x.request, '$.** ? (@ == $name)', jsonb_build_object('name', name)))",
    ),
    # The files of those that can contain the subject: its user's, and those of the whole project.
    ErasedTable("data_export_chunks", "data_export_chunks", _EXPORTS),
    ErasedTable("data_exports", "data_exports", _EXPORTS),
    ErasedTable("entities", "entities", "x.type = :entity_type and x.entity_id = :entity_name"),
    # A notice of a deletion names the id only, and tells the receiver to delete its copy.
    ErasedTable(
        "webhook_deliveries", "webhook_deliveries", "x.memory_id = any(:memory_ids) and x.event_type <> 'memory_delete'"
    ),
)
AFTER_MEMORIES = (
    ErasedTable(
        "memory_history",
        "memory_history",
        # The id of a deleted memory may belong to another user now, whose history stays.
        "(x.memory_id = any(:memory_ids) and (cast(:owner_id as text) is null or x.user_id = :owner_id))"
        f" or x.user_id = :user_id or {_ENTITY}"
        # A session that repeated a memory of another session is a source of that memory.
        " or (x.event = 'REPEAT' and x.run_id = any(cast(cast(:session_ids as uuid[]) as text[])))",
    ),
    ErasedTable("turns", "turns", _OF_SESSIONS),
    ErasedTable("messages", "messages", _OF_SESSIONS),
    ErasedTable("sessions", "sessions", "x.id = any(:session_ids) or x.user_id = :user_id"),
    # A key tells its users for good that it ended with its creator.
    ErasedTable("api_keys", "api_keys", "x.created_by = :account_id and x.name <> 'Erased'", "name = 'Erased'"),
)
TABLES = (*BEFORE_MEMORIES, MEMORIES, *AFTER_MEMORIES, PROFILES)
JOBS, VECTORS, SHORT_TERM, ACCOUNTS = "jobs", "vectors", "short_term_memory", "accounts"
OUTSIDE_POSTGRES = (VECTORS, SHORT_TERM, ACCOUNTS)
"""A crash can come between a removal here and the transaction that counts it."""
COUNT_ALL_SQL = text("select " + ", ".join(f"({each.count_sql}) as {each.name}" for each in TABLES))
VACUUMED_TABLES = (*(each.table for each in TABLES), "memory_vectors", "memory_words", "erasures")


def parameters(scope: ErasureScope, **more: object) -> dict[str, Any]:
    names = [each for each in (scope.entity_name, *map(str, scope.session_ids)) if each]
    return {**scope.model_dump(), "names": names, **more}
