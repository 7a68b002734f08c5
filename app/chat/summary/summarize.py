"""Summarise the older part of a long conversation once, so that its messages need not be sent with every turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.prompt import cut, estimate_tokens
from app.core.ports import ChatMessage, ModelOptions, Role
from app.core.resources import Resources
from app.core.text.fenced_text import CONVERSATION, DATA_INSTRUCTIONS, SUMMARY, Fence, plain_line
from app.projects.token_usage import ask_model
from app.sessions.models import Message
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository

SUMMARIZE_FROM = 40
"""Once this many messages are not covered by the summary, the older ones are summarised."""
KEEP_LAST = 20
MAX_BATCH = 200
ANSWER_TOKENS = 400
FENCE_TOKENS = 30
TASK = (
    "Summarise the conversation so far for the assistant who continues it: facts, decisions, open questions, and what"
    " the person wants. At most 200 words, in the language of the conversation. No greeting, no comment."
    f" {DATA_INSTRUCTIONS}"
)

# A message that is being deleted at this moment counts as deleted: waiting for it here could end in a deadlock.
LOCK_MESSAGES_SQL = text("""
select id from messages where project_id = :project_id and id = any(cast(:ids as uuid[])) for key share skip locked
""")


@dataclass(frozen=True, slots=True)
class UnsummarizedPart:
    previous_summary: str | None
    messages: Sequence[Message]


async def summarize_session(resources: Resources, project_id: UUID, session_id: UUID) -> None:
    """Part by part, the oldest first, so that no message is skipped. Does nothing if few messages are left."""
    while (part := await _next_part(resources, project_id, session_id)) is not None:
        summary = await _ask_for_summary(resources, project_id, part)
        async with resources.database.transaction(project_id) as tx:
            session = await SessionRepository(tx, project_id).find(session_id)
            if session is None or session.summary != part.previous_summary:
                return  # the session was reset or deleted meanwhile
            if session.privacy_mode != PrivacyMode.NORMAL or not await _are_still_there(tx, project_id, part.messages):
                return  # the words would stay in the summary
            session.summary, session.summary_through = summary, part.messages[-1].position


async def _are_still_there(tx: AsyncSession, project_id: UUID, messages: Sequence[Message]) -> bool:
    ids = [each.id for each in messages]
    found = await tx.scalars(LOCK_MESSAGES_SQL, {"project_id": project_id, "ids": ids})
    return len(found.all()) == len(ids)


async def _next_part(resources: Resources, project_id: UUID, session_id: UUID) -> UnsummarizedPart | None:
    async with resources.database.transaction(project_id) as tx:
        session = await SessionRepository(tx, project_id).find(session_id)
        if session is None or session.privacy_mode != PrivacyMode.NORMAL:
            return None
        messages = MessageRepository(tx, project_id, session.user_id)
        covered = session.summary_through or 0
        waiting = await messages.count_after(session_id, covered)
        if waiting < SUMMARIZE_FROM:
            return None
        older = await messages.load_after(session_id, covered, min(MAX_BATCH, waiting - KEEP_LAST))
    return UnsummarizedPart(session.summary, _fitting_part(older, resources.config.context_tokens // 2))


def _fitting_part(messages: Sequence[Message], budget: int) -> Sequence[Message]:
    """At least one message: one that is longer than the budget is shortened in the prompt."""
    for count, message in enumerate(messages):
        budget -= estimate_tokens(message.content)
        if budget < 0:
            return messages[: max(1, count)]
    return messages


async def _ask_for_summary(resources: Resources, project_id: UUID, part: UnsummarizedPart) -> str:
    fence, tokens = Fence(), resources.config.context_tokens * 3 // 4
    parts = [fence.enclose(SUMMARY, [plain_line(part.previous_summary)])] if part.previous_summary else []
    transcript = "\n".join(f"{message.role}: {plain_line(message.content)}" for message in part.messages)
    left = tokens - sum(map(estimate_tokens, parts)) - FENCE_TOKENS
    parts.append(fence.enclose(CONVERSATION, [cut(transcript, left)]))
    prompt = [ChatMessage(Role.SYSTEM, TASK), ChatMessage(Role.USER, "\n\n".join(parts))]
    return (await ask_model(resources, project_id, prompt, ModelOptions(max_tokens=ANSWER_TOKENS))).strip()
