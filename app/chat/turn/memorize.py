"""What a turn in normal mode teaches: its messages as episodes at once, and a job that looks for facts in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from app.chat.summary.jobs import summarize
from app.chat.summary.summarize import SUMMARIZE_FROM
from app.chat.types import Said, Turn
from app.core.database.database import Statement
from app.core.jobs import deferral
from app.core.ports import Change, Role
from app.core.resources import Resources
from app.memory.indexing.changes import to_index
from app.memory.ledger.new_memory import Kind, NewMemory
from app.memory.ledger.repository import adding
from app.memory.remember import Conversation, extraction_of


@dataclass(frozen=True, slots=True)
class Lesson:
    event_id: UUID
    """Of the extraction."""
    steps: Sequence[Statement]
    changes: Sequence[Change]
    """For the index, once the steps are committed."""


def teach(turn: Turn, asked: Said, answer: Said, *, answer_too: bool) -> Lesson:
    episodes = [_episode(turn, asked, _before(turn))]
    if answer_too:
        episodes.append(_episode(turn, answer, asked.content))
    conversation = Conversation(
        [{"role": message.role, "content": message.content} for message in (asked, answer)],
        run_id=str(turn.session_id),
        session_id=turn.session_id,
        source_message_id=asked.id,
        said_at=asked.at,
    )
    event_id, extraction = extraction_of(turn.namespace, conversation)
    steps = [*adding(turn.namespace, episodes, uuid4(), deduplicate=False), *extraction]
    versions = (asked.at, answer.at)  # that of a memory with a time of its own is this time
    changes = [to_index(turn.namespace, each, at) for each, at in zip(episodes, versions, strict=False)]
    return Lesson(event_id, steps, changes)


def _before(turn: Turn) -> str | None:
    """What was said under pause, or about forgetting, is no part of any memory: not as the turn before one either."""
    last = turn.recent[-1] if turn.recent else None
    return last.content if last and last.teaches else None


def _episode(turn: Turn, message: Said, context: str | None) -> NewMemory:
    return NewMemory(
        message.content,
        kind=Kind.EPISODE,
        role=Role(message.role),
        context=context,
        run_id=str(turn.session_id),
        created_at=message.at,
        source_message_id=message.id,
    )


def summing_up(resources: Resources, turn: Turn) -> list[Statement]:
    if not resources.values.has_model or len(turn.recent) < SUMMARIZE_FROM:
        return []
    ids = (str(turn.project_id), str(turn.session_id))
    return [deferral(summarize, lock=f"summary:{turn.session_id}", project_id=ids[0], session_id=ids[1])]
