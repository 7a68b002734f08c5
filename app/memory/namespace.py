from dataclasses import dataclass
from uuid import UUID


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
