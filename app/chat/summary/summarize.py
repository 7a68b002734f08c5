"""Put the older part of a long conversation in short, once, and remember that instead of reading it every time."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.chat.prompt import cut, estimate_tokens
from app.core.ports import ChatMessage, ModelOptions, Role
from app.core.resources import Resources
from app.projects.token_usage import ask_model
from app.sessions.models import Message
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository

SUMMARIZE_FROM = 40
"""So many messages that no summary covers: time to put the older ones in short."""
KEEP_LAST = 20
AT_ONCE = 200
ANSWER_TOKENS = 400
TASK = (
    "Summarise the conversation so far for the assistant who continues it: facts, decisions, open questions, and what"
    " the person wants. At most 200 words, in the language of the conversation. No greeting, no comment."
)


@dataclass(frozen=True, slots=True)
class Part:
    before: str | None
    messages: Sequence[Message]


async def summarize_session(resources: Resources, project_id: UUID, session_id: UUID) -> None:
    """Part by part, the oldest first, so that nothing is passed over. Does nothing where little is left to do."""
    while (part := await _next_part(resources, project_id, session_id)) is not None:
        summary = await _ask(resources, project_id, part)
        async with resources.database.transaction(project_id) as tx:
            session = await SessionRepository(tx, project_id).find(session_id)
            if session is None or session.summary != part.before:
                return  # reset or deleted meanwhile
            session.summary, session.summary_through = summary, part.messages[-1].position


async def _next_part(resources: Resources, project_id: UUID, session_id: UUID) -> Part | None:
    async with resources.database.transaction(project_id) as tx:
        session = await SessionRepository(tx, project_id).find(session_id)
        if session is None or session.privacy_mode != PrivacyMode.NORMAL:
            return None
        messages = MessageRepository(tx, project_id, session.user_id)
        covered = session.summary_through or 0
        waiting = await messages.count_after(session_id, covered)
        if waiting < SUMMARIZE_FROM:
            return None
        older = await messages.next_after(session_id, covered, min(AT_ONCE, waiting - KEEP_LAST))
    return Part(session.summary, _that_fit(older, resources.values.context_tokens // 2))


def _that_fit(messages: Sequence[Message], budget: int) -> Sequence[Message]:
    """At least one: a message longer than the budget is cut when it is asked about."""
    for count, message in enumerate(messages):
        budget -= estimate_tokens(message.content)
        if budget < 0:
            return messages[: max(1, count)]
    return messages


async def _ask(resources: Resources, project_id: UUID, part: Part) -> str:
    said = "\n".join(f"{message.role}: {message.content}" for message in part.messages)
    text = f"Summary of what came before: {part.before}\n\n{said}" if part.before else said
    prompt = [
        ChatMessage(Role.SYSTEM, TASK),
        ChatMessage(Role.USER, cut(text, resources.values.context_tokens * 3 // 4)),
    ]
    return (await ask_model(resources, project_id, prompt, ModelOptions(max_tokens=ANSWER_TOKENS))).strip()
