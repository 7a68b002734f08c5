"""What a turn in normal mode teaches: its messages as episodes at once, and a job that looks for facts in them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.asked import Turn
from app.chat.jobs import summarize
from app.chat.summarize import SUMMARIZE_FROM
from app.core.jobs import defer
from app.core.ports import Change, Role
from app.core.resources import Resources
from app.memory.ledger import MemoryRepository
from app.memory.models import Memory
from app.memory.new import Kind, NewMemory
from app.memory.remember import Conversation, queue_extraction
from app.memory.write import write_memories
from app.sessions.models import Message


async def teach(
    tx: AsyncSession, turn: Turn, asked: Message, answer: Message, *, answer_too: bool
) -> tuple[UUID, list[Change]]:
    episodes = [_episode(turn, asked, _before(turn))]
    if answer_too:
        episodes.append(_episode(turn, answer, asked.content))
    _, changes = await write_memories(tx, turn.namespace, episodes, deduplicate=False)
    said = [{"role": message.role, "content": message.content} for message in (asked, answer)]
    conversation = Conversation(
        said,
        run_id=str(turn.session_id),
        session_id=turn.session_id,
        source_message_id=asked.id,
        said_at=asked.created_at,
    )
    return await queue_extraction(tx, turn.namespace, conversation), changes


def _before(turn: Turn) -> str | None:
    """What was said under pause, or about forgetting, is no part of any memory: not as the turn before one either."""
    last = turn.recent[-1] if turn.recent else None
    return last.content if last and last.teaches else None


def _episode(turn: Turn, message: Message, context: str | None) -> NewMemory:
    return NewMemory(
        message.content,
        kind=Kind.EPISODE,
        role=Role(message.role),
        context=context,
        run_id=str(turn.session_id),
        created_at=message.created_at,
        source_message_id=message.id,
    )


async def count_access(tx: AsyncSession, turn: Turn, ids: Sequence[UUID]) -> None:
    """Locked in one order first: two conversations that recall the same memories would wait for each other."""
    if not ids:
        return
    memories = MemoryRepository(tx, turn.project_id)
    mine = select(Memory.id).where(*memories.mine(), Memory.id.in_(ids))
    await tx.execute(mine.order_by(Memory.id).with_for_update())
    await memories.count_access(ids)


async def maybe_summarize(resources: Resources, tx: AsyncSession, turn: Turn) -> None:
    if resources.values.has_model and len(turn.recent) >= SUMMARIZE_FROM:
        lock = f"summary:{turn.session_id}"
        await defer(tx, summarize, lock=lock, project_id=str(turn.project_id), session_id=str(turn.session_id))
