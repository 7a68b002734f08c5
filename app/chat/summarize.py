"""Put the older part of a long conversation in short, once, and remember that instead of reading it every time."""

from collections.abc import Sequence
from uuid import UUID

from app.chat.prompt import cut
from app.core.ports import ChatMessage, ModelOptions, Role, Token
from app.core.resources import Resources
from app.sessions.models import Message
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository

KEEP_LAST = 20
AT_ONCE = 120
TASK = (
    "Summarise the conversation so far for the assistant who continues it: facts, decisions, open questions, and what"
    " the person wants. At most 200 words, in the language of the conversation. No greeting, no comment."
)


async def summarize_session(resources: Resources, project_id: UUID, session_id: UUID) -> None:
    async with resources.database.transaction(project_id) as tx:
        session = await SessionRepository(tx, project_id).find(session_id)
        if session is None or session.privacy_mode != PrivacyMode.NORMAL:
            return
        messages = await MessageRepository(tx, project_id).last(session_id, AT_ONCE, session.summary_through)
    older = messages[:-KEEP_LAST]
    if not older:
        return
    summary = await _ask(resources, session.summary, older)
    async with resources.database.transaction(project_id) as tx:
        session = await SessionRepository(tx, project_id).find(session_id)
        if session is not None and session.privacy_mode == PrivacyMode.NORMAL:
            session.summary, session.summary_through = summary, older[-1].position


async def _ask(resources: Resources, before: str | None, messages: Sequence[Message]) -> str:
    said = "\n".join(f"{message.role}: {message.content}" for message in messages)
    text = f"Summary of what came before: {before}\n\n{said}" if before else said
    budget = resources.values.context_tokens // 2
    prompt = [ChatMessage(Role.SYSTEM, TASK), ChatMessage(Role.USER, cut(text, budget))]
    pieces = resources.llm.stream(prompt, ModelOptions(max_tokens=400))
    return "".join([piece.text async for piece in pieces if isinstance(piece, Token)]).strip()
