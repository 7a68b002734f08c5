"""What a turn is made of."""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.chat.schemas import TurnOptions
from app.core.ports import ModelOptions, Usage
from app.memory.namespace import Namespace
from app.sessions.privacy import PrivacyMode, Promise, promise_of
from app.sessions.window import WindowMessage


@dataclass(frozen=True, slots=True)
class AnsweredTurn:
    """How this very turn was answered before."""

    user_message_id: UUID | None
    message_id: UUID | None
    answer: str
    event_id: UUID | None = None
    recalled: Sequence[dict[str, Any]] = ()
    """Ids and scores; the words are looked up again, and what was erased since stays away."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message on its way to an answer."""

    id: UUID
    project_id: UUID
    user_id: str
    account_id: UUID | None
    session_id: UUID
    profile_id: UUID
    mode: PrivacyMode
    persona: str | None
    summary: str | None
    content: str
    options: ModelOptions
    recent: Sequence[WindowMessage] = ()
    idempotency_key: str | None = None
    confirm_forget: tuple[UUID, ...] = ()
    answered: AnsweredTurn | None = None

    @property
    def promise(self) -> Promise:
        return promise_of(self.mode)

    @property
    def namespace(self) -> Namespace:
        return Namespace(self.project_id, self.user_id, self.profile_id)

    @property
    def fingerprint(self) -> bytes:
        """The same key with other words, or in another session, is a mistake worth telling."""
        asked = [str(self.session_id), self.content, *map(str, self.confirm_forget)]
        return hashlib.sha256(json.dumps(asked).encode()).digest()

    @property
    def secret_key(self) -> str:
        """The idempotency key as the window of an incognito session knows it."""
        return f"{self.idempotency_key}:{self.fingerprint.hex()}" if self.idempotency_key else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn as it came in, before anything was looked up."""

    content: str
    options: TurnOptions
    session_id: UUID | None = None
    profile_id: UUID | None = None
    privacy_mode: PrivacyMode | None = None
    user_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One side of an answered turn, as it goes into the transcript."""

    id: UUID
    role: str
    content: str
    at: dt.datetime
