"""The window of a session: its recent messages in short-term memory.

Messages in incognito exist here and nowhere else. They are encrypted with a key that only this process holds: after it
has ended, what a shared store still contains cannot be decrypted.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import structlog
from cryptography.fernet import Fernet, InvalidToken

from app.core.ports import ChatMessage, Role, ShortTerm
from app.core.resources import Resources
from app.sessions.models import Message

log = structlog.get_logger()
ACTIVE_SECONDS = 24 * 3600
"""After a turn: the conversation is active."""
INACTIVE_SECONDS = 3600
"""After the window was rebuilt from the transcript."""
ACTIVITY_SECONDS = 2 * 3600
"""A person who sends no message for so long is inactive. Their windows live for another hour."""
MAX_MESSAGES = 100


@dataclass(frozen=True, slots=True)
class WindowMessage:
    """Stored as JSON under these field names, which must stay as they are for windows of earlier versions."""

    role: str
    content: str
    position: int = 0
    """The position in the stored transcript; 0 in incognito."""
    key: str = ""
    """For an answer in incognito: its Idempotency-Key and the fingerprint of the request."""

    teaches: bool = False
    """Whether the message may be memorized as the context of the next episode."""

    @classmethod
    def of(cls, message: Message) -> "WindowMessage":
        return cls(message.role, message.content, message.position, teaches=message.teaches)

    @property
    def as_chat(self) -> ChatMessage:
        return ChatMessage(Role(self.role), self.content)


class WindowStore:
    """Reads as empty while short-term memory is unavailable: the transcript replaces it, except in incognito."""

    def __init__(self, store: ShortTerm, key: bytes, project_id: UUID) -> None:
        self._store = store
        self._tenant = str(project_id)
        self._cipher = Fernet(key)

    async def record_activity(self, user_id: str) -> None:
        """A message of the person, in whichever session, keeps all their windows."""
        await self._set(self._activity_name(user_id), b"1", ACTIVITY_SECONDS + INACTIVE_SECONDS)

    async def load(self, session_id: UUID, user_id: str) -> list[WindowMessage] | None:
        """None on a miss, or if the person was inactive. The caller rebuilds the window from the transcript."""
        if await self._get(self._activity_name(user_id)) is None:
            return None
        found = await self._get(_window_name(session_id))
        return _read(found) if found is not None else None

    async def save(self, session_id: UUID, messages: Sequence[WindowMessage], *, active: bool) -> None:
        seconds = ACTIVE_SECONDS if active else INACTIVE_SECONDS
        await self._set(_window_name(session_id), _write(messages), seconds)

    async def load_incognito(self, session_id: UUID) -> list[WindowMessage]:
        found = await self._get(_incognito_name(session_id))
        try:
            return _read(self._cipher.decrypt(found)) if found is not None else []
        except InvalidToken:
            return []  # encrypted by a process that has ended, or by another instance

    async def save_incognito(self, session_id: UUID, messages: Sequence[WindowMessage]) -> None:
        await self._set(_incognito_name(session_id), self._cipher.encrypt(_write(messages)), ACTIVE_SECONDS)

    async def delete_incognito(self, session_id: UUID) -> None:
        await self._delete(_incognito_name(session_id))

    async def save_calls(self, session_id: UUID, calls: Sequence[object]) -> None:
        """The calls of tools in the latest answer, which a client that keeps no conversation does not send again."""
        await self._set(_calls_name(session_id), json.dumps(calls).encode(), ACTIVE_SECONDS)

    async def load_calls(self, session_id: UUID) -> list[Any]:
        found = await self._get(_calls_name(session_id))
        return list(json.loads(found)) if found is not None else []

    async def delete(self, *session_ids: UUID) -> int:
        """Delete the windows of sessions that were reset or deleted."""
        return await self._delete(*_names(session_ids))

    async def erase(self, *session_ids: UUID) -> int:
        """Like `delete`, but raises OSError while short-term memory is unavailable: an erasure must know."""
        if not await self._store.healthy():
            raise ConnectionError("Short-term memory is unavailable")
        return await self._store.delete(*_names(session_ids))

    async def count_kept(self, *session_ids: UUID) -> int:
        """How many windows of these sessions exist."""
        values = [await self._store.get(name) for name in _names(session_ids)]
        return sum(value is not None for value in values)

    def _activity_name(self, user_id: str) -> str:
        """The name of a person is no part of a key in a shared store."""
        return f"active:{uuid.uuid5(UUID(self._tenant), user_id)}"

    async def _get(self, name: str) -> bytes | None:
        try:
            return await self._store.get(name)
        except OSError:
            log.warning("window.unavailable")
            return None

    async def _set(self, name: str, value: bytes, seconds: float) -> None:
        try:
            await self._store.set(name, value, seconds, tenant=self._tenant)
        except OSError:
            log.warning("window.unavailable")

    async def _delete(self, *names: str) -> int:
        try:
            return await self._store.delete(*names)
        except OSError:
            log.warning("window.unavailable")
            return 0


def window_store(resources: Resources, project_id: UUID) -> WindowStore:
    return WindowStore(resources.short_term, resources.window_key, project_id)


def _names(session_ids: Sequence[UUID]) -> list[str]:
    return [name(session_id) for session_id in session_ids for name in (_window_name, _incognito_name, _calls_name)]


def _window_name(session_id: UUID) -> str:
    return f"window:{session_id}"


def _incognito_name(session_id: UUID) -> str:
    return f"incognito:{session_id}"


def _calls_name(session_id: UUID) -> str:
    return f"calls:{session_id}"


def _write(messages: Sequence[WindowMessage]) -> bytes:
    return json.dumps([asdict(message) for message in messages[-MAX_MESSAGES:]]).encode()


def _read(value: bytes) -> list[WindowMessage]:
    return [WindowMessage(**message) for message in json.loads(value)]
