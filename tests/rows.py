"""Writes one row into every table of a project as superuser, for the tests of isolation."""

import datetime as dt
import json
import uuid
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.memory.namespace import MessageNamespace

# audit_log is written by triggers alone: see tests/admin/test_audit.py. Only the system may touch project_embedders and
# compared_memories: see tests/projects/test_embedder.py and tests/memory/judgement/duplicates/test_by_model.py.
TABLES_OF_A_PROJECT = text(
    "select table_name from information_schema.columns"
    " where table_schema = 'public' and column_name = 'project_id'"
    " and table_name not in ('audit_log', 'compared_memories', 'project_embedders') order by table_name"
)
NEW_ACCOUNT = text(
    "insert into auth.users (id, instance_id, aud, role, email, email_confirmed_at, created_at, updated_at,"
    " raw_app_meta_data, raw_user_meta_data) values (:id, '00000000-0000-0000-0000-000000000000', 'authenticated',"
    " 'authenticated', :email, now(), now(), now(), '{}', '{}')"
)
CASTS = {"embedding": "extensions.vector", "words": "extensions.sparsevec"}
Row = dict[str, object]


@dataclass(frozen=True)
class Corner:
    """The rows of one user in one project. References point to rows of the same set."""

    project_id: uuid.UUID
    user_id: str
    profile_id: uuid.UUID = field(default_factory=uuid.uuid4)
    session_id: uuid.UUID = field(default_factory=uuid.uuid4)
    message_id: uuid.UUID = field(default_factory=uuid.uuid4)
    memory_id: uuid.UUID = field(default_factory=uuid.uuid4)
    event_id: uuid.UUID = field(default_factory=uuid.uuid4)
    key_id: uuid.UUID = field(default_factory=uuid.uuid4)
    account_id: uuid.UUID = field(default_factory=uuid.uuid4)
    webhook_id: uuid.UUID = field(default_factory=uuid.uuid4)
    delivery_id: uuid.UUID = field(default_factory=uuid.uuid4)
    invitation_id: uuid.UUID = field(default_factory=uuid.uuid4)
    export_id: uuid.UUID = field(default_factory=uuid.uuid4)
    erasure_id: uuid.UUID = field(default_factory=uuid.uuid4)
    data_export_id: uuid.UUID = field(default_factory=uuid.uuid4)
    user_profile_job_id: uuid.UUID = field(default_factory=uuid.uuid4)
    stored_message_id: uuid.UUID = field(default_factory=uuid.uuid4)
    retention_run_id: uuid.UUID = field(default_factory=uuid.uuid4)
    held_user_id: str = field(default_factory=lambda: f"held {uuid.uuid4()}")
    month: dt.date = field(default_factory=lambda: dt.date(1 + uuid.uuid4().int % 9000, 1, 1))

    def rows(self) -> dict[str, Row]:
        """The rows in an order that satisfies the foreign keys."""
        mine: Row = {"project_id": self.project_id, "user_id": self.user_id}
        profile: Row = {**mine, "profile_id": self.profile_id}
        key: Row = {"name": "Key", "prefix": f"ks_{uuid.uuid4().hex[:12]}", "secret_hash": b"x", "scopes": []}
        memory: Row = {"namespace": "n", "kind": "fact", "content": "Likes tea", "hash": b"x"}
        return {
            "project_members": {
                **{"project_id": self.project_id, "account_id": self.account_id},
                **{"role": "USER", "joined": "accepted"},
            },
            "invitations": {
                **{"id": self.invitation_id, "project_id": self.project_id, "email": f"{uuid.uuid4()}@example.com"},
                **{"role": "USER", "token_hash": b"x", "expires_at": dt.datetime.now(dt.UTC) + dt.timedelta(days=7)},
            },
            "api_keys": {"id": self.key_id, "project_id": self.project_id, **key},
            "profiles": {**mine, "id": self.profile_id, "name": f"Home {uuid.uuid4()}"},
            "sessions": {**profile, "id": self.session_id},
            "messages": {**mine, "id": self.message_id, "session_id": self.session_id, "role": "user", "content": "Hi"},
            "memories": {**profile, "id": self.memory_id, **memory},
            "memory_history": {**mine, "id": uuid.uuid4(), "memory_id": self.memory_id, "event": "ADD"},
            "events": {**mine, "id": self.event_id, "event_type": "ADD", "status": "PENDING"},
            "turns": {
                **{**mine, "id": uuid.uuid4(), "session_id": self.session_id, "fingerprint": b"x"},
                **{"user_message_id": self.message_id, "message_id": self.message_id},
                "idempotency_key": f"{uuid.uuid4()}",
            },
            "token_usage": {"project_id": self.project_id, "month": self.month},
            "usage_by_day": {"project_id": self.project_id, "day": self.month, "key_id": self.key_id},
            "memory_vectors": {
                **{"memory_id": self.memory_id, "generation": 1, "project_id": self.project_id, "namespace": "n"},
                **{"embedding": "[1]", "words": "{1:1}/2"},
            },
            "memory_words": {
                **{"memory_id": self.memory_id, "collection_id": 1, "project_id": self.project_id, "namespace": "n"},
                **{"words": "{1:1}/2"},
            },
            "entities": {**mine, "id": uuid.uuid4(), "type": "user", "entity_id": self.user_id},
            "feedback": {**mine, "id": uuid.uuid4(), "memory_id": self.memory_id, "feedback": "POSITIVE"},
            "webhooks": {
                **{"id": self.webhook_id, "project_id": self.project_id, "name": "Hook"},
                **{"url": "https://hooks.example", "event_types": ["memory_add"], "is_active": False},
            },
            "webhook_deliveries": {
                **{"id": self.delivery_id, "project_id": self.project_id, "webhook_id": self.webhook_id},
                **{"event_type": "memory_add", "memory_id": self.memory_id},
            },
            "memory_exports": {**mine, "id": self.export_id, "request": {}},
            "data_exports": {**mine, "id": self.data_export_id},
            "data_export_chunks": {
                **{**mine, "id": uuid.uuid4(), "export_id": self.data_export_id},
                **{"number": uuid.uuid4().int % 2**31, "content": b"Likes tea"},
            },
            "portraits": {
                **{**profile, "id": uuid.uuid4(), "content": {"likes": "Likes tea"}},
                **{"memory_ids": [self.memory_id]},
            },
            "portrait_jobs": {
                **{**mine, "id": self.user_profile_job_id, "operation": "trigger"},
                **{"idempotency_key": f"{uuid.uuid4()}"},
            },
            "retention_runs": {
                **{"id": self.retention_run_id, "project_id": self.project_id, "cause": "request"},
                **{"state": "finished", "policy": {"rules": []}},
            },
            "legal_holds": {"id": uuid.uuid4(), "project_id": self.project_id, "user_id": self.held_user_id},
            "erasures": {
                **{"id": self.erasure_id, "project_id": self.project_id, "kind": "memory", "subject_hash": b"x"},
                **{"requested_by": str(self.account_id)},
            },
            "vector_removals": {"memory_id": uuid.uuid4(), "project_id": self.project_id},
        }


def stored_message(corner: Corner) -> Row:
    """A second row of `memories`: a message of the conversation store."""
    row = {**corner.rows()["memories"], "id": corner.stored_message_id, "kind": "message", "conversation_id": "talk"}
    return {**row, "namespace": str(MessageNamespace(corner.project_id)), "categories": []}


async def insert_row(tx: AsyncSession, table: str, row: Row) -> None:
    names = ", ".join(row)
    values = ", ".join(f"cast(:{name} as {CASTS[name]})" if name in CASTS else f":{name}" for name in row)
    plain = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
    await tx.execute(text(f"insert into public.{table} ({names}) values ({values})"), plain)


async def fill(admin: AsyncEngine, corner: Corner) -> None:
    """Inserts the rows into an existing project."""
    async with AsyncSession(admin) as tx, tx.begin():
        await fill_in(tx, corner)


async def fill_in(tx: AsyncSession, corner: Corner) -> None:
    await make_account(tx, corner.account_id)
    for table, row in corner.rows().items():
        await insert_row(tx, table, row)


async def make_account(tx: AsyncSession, account_id: uuid.UUID) -> None:
    """Inserts an account with a confirmed address and no password."""
    await tx.execute(NEW_ACCOUNT, {"id": account_id, "email": f"{account_id}@example.com"})


async def make_project(tx: AsyncSession) -> tuple[uuid.UUID, uuid.UUID]:
    """A project, in an organization of its own."""
    project, organization = uuid.uuid4(), uuid.uuid4()
    await insert_row(tx, "organizations", {"id": organization, "name": "O"})
    await insert_row(tx, "projects", {"id": project, "organization_id": organization, "name": "P"})
    return project, organization


async def make_room(tx: AsyncSession, table: str, corner: Corner) -> None:
    """A profile has one user profile, so a second row needs the first one deleted."""
    if table == "portraits":
        await tx.execute(text("delete from public.portraits where profile_id = :id"), {"id": corner.profile_id})


def renewed(table: str, corner: Corner) -> Row:
    """Another row with the same references and an identity of its own."""
    row = corner.rows()[table]
    if table in ("memory_vectors", "memory_words"):
        return {**row, "memory_id": uuid.uuid4()}
    if table == "usage_by_day":
        return {**row, "day": corner.month.replace(day=2)}
    if table == "token_usage":
        return {**row, "month": corner.month.replace(day=2)}
    if table == "entities":
        name = f"{corner.user_id} {uuid.uuid4()}"
        return {**row, "id": uuid.uuid4(), "user_id": name, "entity_id": name}
    if table == "legal_holds":
        return {**row, "id": uuid.uuid4(), "user_id": f"held {uuid.uuid4()}"}
    return {**row, "id": uuid.uuid4()}
