import datetime as dt
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self
from uuid import UUID

from app.core.ports import Role
from app.memory.ledger import Door, Kind, Memory, NewMemory
from app.memory.namespace import MessageNamespace
from app.memory.origin import Origin


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message that an application stores, before it is a row."""

    conversation_id: str
    role: Role
    content: str
    tenant_id: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    importance: float | None = None
    created_at: dt.datetime | None = None
    id: UUID = field(default_factory=uuid.uuid4)

    def repeatable(self, secret: bytes, project_id: UUID, key: str) -> "MessageDraft":
        """With an id that follows from the Idempotency-Key: a repeated request is about the same message.

        Without the server's secret, others could guess the id and take it first."""
        scope = [str(project_id), self.tenant_id, self.user_id, key]
        name = "\n".join("-" if part is None else f"{len(part)}:{part}" for part in scope)
        digest = hmac.digest(secret, f"message\n{name}".encode(), "sha256")
        return replace(self, id=UUID(bytes=digest[:16], version=4))

    def as_memory(self) -> NewMemory:
        return NewMemory(
            id=self.id,
            kind=Kind.MESSAGE,
            role=self.role,
            content=self.content,
            tenant_id=self.tenant_id,
            conversation_id=self.conversation_id,
            origin=Origin(user_id=self.user_id),
            metadata=self.metadata,
            categories=(),
            door=Door.MESSAGES,
            importance=self.importance,
            created_at=self.created_at,
        )

    def namespace(self, project_id: UUID, profiles: Mapping[str, UUID]) -> MessageNamespace:
        """`profiles` has the default profile of each user."""
        profile_id = profiles[self.user_id] if self.user_id is not None else None
        return MessageNamespace(project_id, self.user_id, profile_id, self.tenant_id)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    id: UUID
    tenant_id: str | None
    conversation_id: str
    user_id: str | None
    role: str
    content: str
    metadata: Mapping[str, object]
    importance: float | None
    """What the sender gave."""
    state: str
    created_at: dt.datetime
    archived_at: dt.datetime | None = None

    @classmethod
    def of_row(cls, row: Memory) -> Self:
        assert row.conversation_id is not None
        return cls(
            id=row.id,
            tenant_id=row.tenant_id,
            conversation_id=row.conversation_id,
            user_id=row.user_id,
            role=row.role,
            content=row.content,
            metadata=row.metadata_,
            importance=row.importance,
            state=row.state,
            created_at=row.created_at,
            archived_at=row.archived_at,
        )

    @classmethod
    def of_draft(cls, draft: MessageDraft, created_at: dt.datetime) -> Self:
        return cls(
            id=draft.id,
            tenant_id=draft.tenant_id,
            conversation_id=draft.conversation_id,
            user_id=draft.user_id,
            role=draft.role,
            content=draft.content,
            metadata=draft.metadata,
            importance=draft.importance,
            state="pending",
            created_at=created_at,
        )
