"""What a chat turn is made of: the request, what is known before the answer begins, and an answer given before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID, uuid4

from app.chat.schemas import TurnOptions
from app.core.ports import ModelOptions, Usage
from app.memory.ledger import Door
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.standing import StandingMemory
from app.sessions.privacy import PrivacyMode, PrivacyPolicy
from app.sessions.window import WindowMessage


@dataclass(frozen=True, slots=True)
class TurnInput:
    """A turn as the client sent it."""

    content: str
    options: TurnOptions
    session_id: UUID | None = None
    profile_id: UUID | None = None
    privacy_mode: PrivacyMode | None = None
    user_id: str | None = None
    idempotency_key: str | None = None
    door: Door = Door.CHAT


@dataclass(frozen=True, slots=True)
class PreviousAnswer:
    """The answer that an earlier request with the same Idempotency-Key received."""

    fingerprint: bytes
    user_message_id: UUID | None
    message_id: UUID | None
    content: str
    event_id: UUID | None = None
    recalled: Sequence[dict[str, Any]] = ()
    """Ids, scores and their parts. The memories are loaded again, so that those deleted since are left out."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Answered:
    """A turn that was answered before: the answer is repeated, and no model is asked."""

    session_id: UUID
    namespace: Namespace
    mode: PrivacyMode
    content: str
    standing: Sequence[StandingMemory]
    previous: PreviousAnswer


@dataclass(frozen=True, slots=True)
class ConfirmedForgetting:
    ids: tuple[UUID, ...]
    all: Literal["everything", "today"] | None
    messages: bool
    """Whether to delete the messages that contain them, too."""

    @classmethod
    def of(cls, options: TurnOptions) -> "ConfirmedForgetting | None":
        if not options.confirm_forget and options.confirm_forget_all is None:
            return None
        return cls(tuple(options.confirm_forget or ()), options.confirm_forget_all, options.forget_messages)


class Forgetting(Protocol):
    """What a request to forget needs: a chat turn, or a call that came another way."""

    @property
    def account_id(self) -> UUID | None: ...
    @property
    def namespace(self) -> Namespace: ...
    @property
    def policy(self) -> PrivacyPolicy: ...
    @property
    def session_id(self) -> UUID | None: ...
    @property
    def confirmed(self) -> ConfirmedForgetting | None: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A turn that may be answered: its session is acquired, and everything that can be refused has been checked."""

    id: UUID
    session_id: UUID
    account_id: UUID | None
    namespace: Namespace
    mode: PrivacyMode
    policy: PrivacyPolicy
    persona: str | None
    summary: str | None
    standing: Sequence[StandingMemory]
    """Newest first; empty where the privacy mode reads no memories."""
    user_profile: Mapping[str, Any] | None
    content: str
    options: ModelOptions
    recent: Sequence[WindowMessage]
    confirmed: ConfirmedForgetting | None
    idempotency_key: str | None
    fingerprint: bytes
    door: Door = Door.CHAT
    answer_id: UUID = field(default_factory=uuid4)
    """Of the answer, where it is stored."""
    in_session: bool = True
    """False for a turn whose client keeps the conversation: `session_id` then names nothing that is stored."""
    off_the_record: bool = False
    """The message wishes not to be stored, so this turn is in incognito."""

    @property
    def origin(self) -> Origin:
        return Origin(run_id=str(self.session_id)) if self.in_session else Origin()
