"""Build what an answered turn leaves behind: rows, as its privacy mode allows, its window, and the response."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import text

from app.chat.progress import Progress
from app.chat.schemas import StandingRead, TokenUsage, TurnAnswer, TurnMessage
from app.chat.summary.jobs import summarize
from app.chat.summary.summarize import SUMMARIZE_FROM
from app.chat.types import Answered, Prepared
from app.core.database.content import Content
from app.core.database.database import Statement
from app.core.jobs import defer_statement
from app.core.ports import IndexChange, Role
from app.core.resources import Resources
from app.core.storable_text import is_blank
from app.core.text.statements import echoes, states_nothing
from app.memory.indexing import upsert_for_new
from app.memory.ledger import Kind, NewMemory, access_count_statements, add_statements
from app.memory.remember import Conversation, extraction_statements
from app.projects.token_usage import usage_statement
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import title_of
from app.sessions.window import WindowMessage

# Inserts both messages and releases the session.
INSERT_TURN_MESSAGES_SQL = text("""
with inserted as (
  insert into messages (id, project_id, user_id, session_id, role, content, privacy_mode, metadata, prompt_tokens,
    completion_tokens, created_at)
  values
    (:question_id, :project_id, :user_id, :session_id, 'user', :question, :mode, cast(:metadata as jsonb), null, null,
      :asked_at),
    (:answer_id, :project_id, :user_id, :session_id, 'assistant', :answer, :mode, cast(:metadata as jsonb),
      :prompt_tokens, :completion_tokens, :answered_at)
)
update sessions set turn_id = null, turn_until = null, last_message_at = :answered_at, updated_at = now(),
  title = coalesce(title, :title)
where project_id = :project_id and id = :session_id and turn_id = :turn
""")
INSERT_ANSWERED_TURN_SQL = text("""
insert into turns (project_id, user_id, session_id, idempotency_key, fingerprint, user_message_id, message_id,
  event_id, recalled)
values (:project_id, :user_id, :session_id, :key, :fingerprint, :question_id, :answer_id, :event_id,
  cast(:recalled as jsonb))
""")
SELECT_MESSAGE_POSITIONS_SQL = text("""
select id, position from messages where project_id = :project_id and id = any(:ids)
""")


@dataclass(frozen=True, slots=True)
class ExchangedMessage:
    id: UUID
    role: Role
    content: str
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Memorized:
    """What a turn in normal mode adds to memory: its messages as episodes, and a job that extracts facts from them."""

    event_id: UUID
    """The event of the extraction."""
    statements: Sequence[Statement]
    changes: Sequence[IndexChange]
    """For the index, once the statements are committed."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answered turn, as it is recorded."""

    turn: Prepared
    progress: Progress
    question: ExchangedMessage
    answer: ExchangedMessage
    memorized: Memorized | None
    paused: bool

    @property
    def event_id(self) -> UUID | None:
        return self.memorized.event_id if self.memorized else None

    @property
    def changes(self) -> Sequence[IndexChange]:
        return self.memorized.changes if self.memorized else ()

    def window(self, positions: Mapping[UUID, int]) -> list[WindowMessage]:
        teaches = self.turn.mode is PrivacyMode.NORMAL and not self.progress.about_forgetting
        return [
            WindowMessage(message.role, message.content, positions[message.id], teaches=teaches)
            for message in (self.question, self.answer)
        ]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The ids under which a turn was recorded. Incognito has none."""

    user_message_id: UUID | None = None
    message_id: UUID | None = None
    event_id: UUID | None = None


def build_exchange(resources: Resources, turn: Prepared, progress: Progress, *, paused: bool) -> Exchange:
    question = ExchangedMessage(uuid4(), Role.USER, turn.content, dt.datetime.now(dt.UTC))
    answer = ExchangedMessage(turn.answer_id, Role.ASSISTANT, "".join(progress.tokens), dt.datetime.now(dt.UTC))
    memorized = None
    if turn.policy.extracts and not paused and not progress.about_forgetting:
        include_answer = resources.config.has_model and not _repeats(turn, progress, answer.content)
        memorized = memorize(turn, question, answer, include_answer=include_answer)
    return Exchange(turn, progress, question, answer, memorized, paused)


def memorize(
    turn: Prepared, question: ExchangedMessage, answer: ExchangedMessage, *, include_answer: bool
) -> Memorized:
    said: list[tuple[ExchangedMessage, str | None]] = [(question, _memorable_context(turn))]
    if include_answer:
        said.append((answer, question.content))
    # Questions, greetings and commands are messages of the conversation, and no memories.
    stored = [(message, context) for message, context in said if not states_nothing(message.content)]
    episodes = [_episode(turn, message, context) for message, context in stored]
    conversation = Conversation(
        [{"role": each.role, "content": each.content} for each in (question, answer) if not is_blank(each.content)],
        origin=turn.origin,
        session_id=turn.session_id if turn.in_session else None,
        source_message_id=question.id,
        door=turn.door,
        said_at=question.created_at,
    )
    event_id, extraction = extraction_statements(turn.namespace, conversation)
    added = add_statements(turn.namespace, episodes, uuid4(), deduplicate=False) if episodes else []
    statements = [*added, *extraction]
    # A memory added with a time of its own has this time as its version.
    changes = [
        upsert_for_new(turn.namespace, each, message.created_at)
        for each, (message, _) in zip(episodes, stored, strict=True)
    ]
    return Memorized(event_id, statements, changes)


def _repeats(turn: Prepared, progress: Progress, answer: str) -> bool:
    """An answer from memory, stored as an episode, would stand beside the memory and outlive it."""
    given = [*(memory.memory for memory in progress.recalled), *(each.content for each in turn.standing)]
    return bool(given) and echoes(answer, [*given, turn.content])


def _memorable_context(turn: Prepared) -> str | None:
    """Messages under pause or about forgetting become no part of any memory, not even as the message before one."""
    last = turn.recent[-1] if turn.recent else None
    return last.content if last and last.teaches else None


def _episode(turn: Prepared, message: ExchangedMessage, context: str | None) -> NewMemory:
    return NewMemory(
        message.content,
        kind=Kind.EPISODE,
        role=message.role,
        context=context,
        origin=turn.origin,
        door=turn.door,
        created_at=message.created_at,
        source_message_id=message.id,
    )


def record_statements(resources: Resources, exchange: Exchange) -> Iterator[Statement]:
    """Everything in one round trip; the last statement returns the positions of both messages."""
    turn, progress, project_id = exchange.turn, exchange.progress, exchange.turn.namespace.project_id
    yield _insert_messages(exchange)
    if exchange.memorized:
        yield from exchange.memorized.statements
        yield from _summary_statements(resources, turn)
    if turn.policy.counts_access and not exchange.paused:
        yield from access_count_statements(project_id, [memory.id for memory in progress.recalled])
    if turn.idempotency_key is not None:
        yield _insert_answered_turn(exchange)
    yield usage_statement(resources.config, project_id, progress.usage, model=turn.options.model, turns=1)
    yield SELECT_MESSAGE_POSITIONS_SQL, {"project_id": project_id, "ids": [exchange.question.id, exchange.answer.id]}


def _insert_messages(exchange: Exchange) -> Statement:
    turn, question, answer, usage = exchange.turn, exchange.question, exchange.answer, exchange.progress.usage
    project_id = turn.namespace.project_id
    return INSERT_TURN_MESSAGES_SQL, {
        "project_id": project_id,
        "user_id": turn.namespace.user_id,
        "session_id": turn.session_id,
        "turn": turn.id,
        "mode": turn.mode,
        "metadata": json.dumps({"about_forgetting": True} if exchange.progress.about_forgetting else {}),
        "question_id": question.id,
        "question": Content(question.content, project_id, question.id),
        "asked_at": question.created_at,
        "title": Content(title_of(question.content), project_id, turn.session_id),
        "answer_id": answer.id,
        "answer": Content(answer.content, project_id, answer.id),
        "answered_at": answer.created_at,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }


def _insert_answered_turn(exchange: Exchange) -> Statement:
    turn = exchange.turn
    recalled = [
        {"id": str(memory.id), "score": memory.score, "parts": dict(memory.score_breakdown)}
        for memory in exchange.progress.recalled
    ]
    return INSERT_ANSWERED_TURN_SQL, {
        "project_id": turn.namespace.project_id,
        "user_id": turn.namespace.user_id,
        "session_id": turn.session_id,
        "key": turn.idempotency_key,
        "fingerprint": turn.fingerprint,
        "question_id": exchange.question.id,
        "answer_id": exchange.answer.id,
        "event_id": exchange.event_id,
        "recalled": json.dumps(recalled),
    }


def _summary_statements(resources: Resources, turn: Prepared) -> list[Statement]:
    if not resources.config.has_model or len(turn.recent) < SUMMARIZE_FROM:
        return []
    project_id, session_id = str(turn.namespace.project_id), str(turn.session_id)
    return [defer_statement(summarize, lock=f"summary:{session_id}", project_id=project_id, session_id=session_id)]


def extended_window(turn: Prepared, messages: Sequence[WindowMessage]) -> list[WindowMessage]:
    """The stored messages of the window, without those in incognito, and then the new ones."""
    return [*(message for message in turn.recent if message.position), *messages]


def answer_data(turn: Prepared | Answered, progress: Progress, recorded: Recorded) -> dict[str, object]:
    answer = TurnAnswer(
        session_id=turn.session_id,
        privacy_mode=turn.mode,
        user_message=TurnMessage(id=recorded.user_message_id, role="user", content=turn.content),
        message=TurnMessage(id=recorded.message_id, role="assistant", content="".join(progress.tokens)),
        recalled=progress.recalled,
        recall_failed=progress.recall_failed,
        by_meaning=progress.by_meaning,
        answerable=progress.answerable,
        standing=[StandingRead(id=each.id, memory=each.content) for each in turn.standing],
        event_id=recorded.event_id,
        will_remember=recorded.event_id is not None,
        forget=progress.forget,
        forgotten=progress.forgotten,
        usage=TokenUsage(
            prompt_tokens=progress.usage.prompt_tokens, completion_tokens=progress.usage.completion_tokens
        ),
    )
    return answer.model_dump(mode="json")
