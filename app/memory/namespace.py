import hashlib
from dataclasses import dataclass
from uuid import UUID

from app.core.ports import MESSAGES


@dataclass(frozen=True, slots=True)
class Namespace:
    """The unit in which memories are added and searched: one profile of one user in one project."""

    project_id: UUID
    user_id: str | None = None
    """None for memories of an agent, an app or a run without a user."""
    profile_id: UUID | None = None

    def __str__(self) -> str:
        """As stored in the index. The profile's id implies the user, so the index holds no user names."""
        return f"{self.project_id}:{self.profile_id or ''}"


@dataclass(frozen=True, slots=True)
class MessageNamespace(Namespace):
    """The messages of all users that a project stored for one of its tenants, or for none."""

    tenant_id: str | None = None

    def __str__(self) -> str:
        """The index holds no names of tenants."""
        digest = hashlib.sha256(self.tenant_id.encode()).hexdigest()[:32] if self.tenant_id is not None else ""
        return f"{self.project_id}{MESSAGES}{digest}"


def holds_messages(namespace: str) -> bool:
    return MESSAGES in namespace
