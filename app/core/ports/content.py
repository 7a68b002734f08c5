"""Encrypts what users said before it is stored, with keys that each project has for itself."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

KNOWN_SECONDS = 10.0
"""How long the keys of a project are used before they are read again."""
ACTIVE_AFTER_SECONDS = 3 * KNOWN_SECONDS
"""A new key is used for writing once every process has read it."""


class ContentCipher(Protocol):
    """`seal`, `open` and `digest` are used while a statement is sent and its rows are read, so they do not wait."""

    async def prepare(self, project_id: UUID) -> None:
        """Load the keys of the project, unless they are known. Comes before each of its transactions."""

    def is_sealing(self, project_id: UUID) -> bool:
        """Whether content of the project is encrypted when it is written."""

    def seal(self, project_id: UUID, record_id: UUID, content: bytes) -> str:
        """Encrypt content of one record."""

    def open(self, sealed: str, records: Collection[bytes]) -> bytes | None:
        """Decrypt content, which must belong to a record with one of these ids, if any are given.

        None if the text only looks like sealed content."""

    def digest(self, project_id: UUID, digest: bytes) -> bytes:
        """A digest that does not let a reader of the database try out texts."""


class ContentKeys(Protocol):
    """The keys of projects, for the commands that encrypt projects and replace keys."""

    async def list_prefixes(self, project_id: UUID) -> Sequence[str]:
        """What content begins with that is sealed with each key of the project, the newest key last."""

    async def add(self, project_id: UUID, active_after: float) -> None:
        """Create a key that seals content from so many seconds on. The first key of a project encrypts it."""

    async def seconds_until_active(self, project_id: UUID) -> float:
        """Until the newest key of the project seals content."""

    async def remove(self, project_id: UUID, prefix: str) -> None:
        """Delete a key, after which nothing can read what it sealed."""

    async def rewrap(self, projects: Sequence[UUID]) -> None:
        """Wrap the keys of these projects with the first master key."""

    def forget(self, project_id: UUID) -> None:
        """Read the keys of the project again before its next transaction."""
