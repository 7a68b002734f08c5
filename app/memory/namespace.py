"""`project:user:profile`: the unit within which memory is added and searched. Profiles never mix silently."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Namespace:
    project_id: UUID
    user_id: str | None = None
    """None for what belongs to no user, only to an agent, an app or a run."""
    profile_id: UUID | None = None

    def __str__(self) -> str:
        """As the index knows it. The profile's id stands for its user too, so no user's name is kept there."""
        return f"{self.project_id}:{self.profile_id or ''}"
