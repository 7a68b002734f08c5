"""Short-term memory of a session: its recent messages, close at hand and only for a while.

What was said in incognito lives here and nowhere else, encrypted with a key that exists in this process only: when the
process ends, whatever a shared store still holds can no longer be read by anybody.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

import structlog
from cryptography.fernet import Fernet, InvalidToken

from app.core.ports import ChatMessage, Role, ShortTerm
from app.core.resources import Resources
from app.sessions.models import Message

log = structlog.get_logger()
ACTIVE_SECONDS = 24 * 3600
"""After a message: the conversation is going on."""
INACTIVE_SECONDS = 3600
"""After being rebuilt for somebody who only looks."""
MOST_MESSAGES = 100


@dataclass(frozen=True, slots=True)
class WindowMessage:
    role: str
    content: str
    position: int = 0
    """Its place in the stored transcript; 0 for what was said in incognito."""
    key: str = ""
    """On an answer in incognito: the Idempotency-Key that asked for it."""

    teaches: bool = False
    """Whether it may be remembered as what came before an episode."""

    @classmethod
    def of(cls, message: Message) -> "WindowMessage":
        return cls(message.role, message.content, message.position, teaches=message.teaches)

    @property
    def as_chat(self) -> ChatMessage:
        return ChatMessage(Role(self.role), self.content)


class Windows:
    """A store that is away reads as empty: slower, not broken. Except incognito, which has nowhere else to be."""

    def __init__(self, store: ShortTerm, key: bytes) -> None:
        self._store = store
        self._cipher = Fernet(key)

    async def recent(self, session_id: UUID) -> list[WindowMessage] | None:
        """None on a miss: the caller rebuilds it from the transcript."""
        found = await self._get(_open_name(session_id))
        return _read(found) if found is not None else None

    async def keep_recent(self, session_id: UUID, messages: Sequence[WindowMessage], *, active: bool) -> None:
        seconds = ACTIVE_SECONDS if active else INACTIVE_SECONDS
        await self._set(_open_name(session_id), _write(messages), seconds)

    async def incognito(self, session_id: UUID) -> list[WindowMessage]:
        found = await self._get(_secret_name(session_id))
        try:
            return _read(self._cipher.decrypt(found)) if found is not None else []
        except InvalidToken:
            return []  # written by a process that has ended, or by another instance

    async def keep_incognito(self, session_id: UUID, messages: Sequence[WindowMessage]) -> None:
        await self._set(_secret_name(session_id), self._cipher.encrypt(_write(messages)), ACTIVE_SECONDS)

    async def forget_incognito(self, session_id: UUID) -> None:
        await self._delete(_secret_name(session_id))

    async def forget(self, *session_ids: UUID) -> int:
        """Both windows: the session was reset, deleted or erased."""
        names = [name(session_id) for session_id in session_ids for name in (_open_name, _secret_name)]
        return await self._delete(*names)

    async def _get(self, name: str) -> bytes | None:
        try:
            return await self._store.get(name)
        except OSError:
            log.warning("window.unavailable")
            return None

    async def _set(self, name: str, value: bytes, seconds: float) -> None:
        try:
            await self._store.set(name, value, seconds)
        except OSError:
            log.warning("window.unavailable")

    async def _delete(self, *names: str) -> int:
        try:
            return await self._store.delete(*names)
        except OSError:
            log.warning("window.unavailable")
            return 0


def windows_of(resources: Resources) -> Windows:
    return Windows(resources.short_term, resources.window_key)


def _open_name(session_id: UUID) -> str:
    return f"window:{session_id}"


def _secret_name(session_id: UUID) -> str:
    return f"incognito:{session_id}"


def _write(messages: Sequence[WindowMessage]) -> bytes:
    return json.dumps([asdict(message) for message in messages[-MOST_MESSAGES:]]).encode()


def _read(value: bytes) -> list[WindowMessage]:
    return [WindowMessage(**message) for message in json.loads(value)]
