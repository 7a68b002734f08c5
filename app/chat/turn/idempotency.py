"""A turn that is sent again with the same Idempotency-Key answers the same, without asking anybody twice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.chat.types import AnsweredTurn, Turn
from app.core.database.database import Statement
from app.core.errors import Unprocessable
from app.core.ports import Usage

OTHER_WORDS = "This Idempotency-Key was used for another message: send each message with a new key"
KEEP = text("""
insert into turns (project_id, user_id, session_id, idempotency_key, fingerprint, user_message_id, message_id,
  event_id, recalled)
values (:project_id, :user_id, :session_id, :key, :fingerprint, :asked_id, :answer_id, :event_id,
  cast(:recalled as jsonb))
""")


@dataclass(frozen=True, slots=True)
class Before:
    """What is kept of a turn that had this key."""

    fingerprint: bytes
    answered: AnsweredTurn

    @classmethod
    def of(cls, row: Any) -> "Before":
        usage = Usage(row.prompt_tokens or 0, row.completion_tokens or 0)
        answered = AnsweredTurn(row.asked_id, row.answer_id, row.answer, row.event_id, row.recalled, usage)
        return cls(bytes(row.fingerprint), answered)


def answered_before(turn: Turn, before: Before | None) -> AnsweredTurn | None:
    if before is None:
        return None
    if before.fingerprint != turn.fingerprint:
        raise Unprocessable(OTHER_WORDS)
    return before.answered


def keeping(
    turn: Turn, asked_id: UUID, answer_id: UUID, event_id: UUID | None, recalled: Sequence[dict[str, object]]
) -> list[Statement]:
    if turn.idempotency_key is None:
        return []
    values = {
        "project_id": turn.project_id,
        "user_id": turn.user_id,
        "session_id": turn.session_id,
        "key": turn.idempotency_key,
        "fingerprint": turn.fingerprint,
        "asked_id": asked_id,
        "answer_id": answer_id,
        "event_id": event_id,
        "recalled": json.dumps(recalled),
    }
    return [(KEEP, values)]


def find_secretly_answered(turn: Turn) -> AnsweredTurn | None:
    """In incognito an answer is known only while the window of the session is."""
    if turn.idempotency_key is None:
        return None
    for message in turn.recent:
        key, _, fingerprint = message.key.rpartition(":")
        if key == turn.idempotency_key:
            if fingerprint != turn.fingerprint.hex():
                raise Unprocessable(OTHER_WORDS)
            return AnsweredTurn(None, None, message.content)
    return None
