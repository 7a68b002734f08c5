"""Answer a wish to be forgotten: find what is meant, name it, and erase it once it is confirmed."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from app.chat.forget.intent import IN_INCOGNITO, NOTHING_FOUND, ask, report
from app.chat.progress import Progress, as_recalled
from app.chat.schemas import ForgetQuestion
from app.chat.types import Turn
from app.core.resources import Resources
from app.memory.forget import forget
from app.memory.recall.recall import Question, recall

MOST_MEANT = 10
MEANT_FROM = 0.2
# What is about to be forgotten is elsewhere too: in work that has not been done, and in what others were made of.
STOP_EXTRACTION = text("""
delete from events e where e.project_id = :project_id and e.namespace = :namespace
  and e.status in ('PENDING', 'RUNNING') and e.request ->> 'source_message_id' in (
    select m.source_message_id::text from memories m
    where m.project_id = :project_id and m.namespace = :namespace and m.id = any(:ids))
""")
BLANK_INPUT = text("""
update memory_history h set input = null
where h.project_id = :project_id and h.input is not null and h.memory_id in (
  select m.id from memories m join memories f on f.project_id = m.project_id and f.namespace = m.namespace
    and f.source_message_id = m.source_message_id
  where f.project_id = :project_id and f.namespace = :namespace and f.id = any(:ids))
""")


async def answer_wish(resources: Resources, turn: Turn, wish: str, progress: Progress) -> None:
    progress.about_forgetting = True
    if not turn.promise.reads_memories:
        progress.words.append(IN_INCOGNITO)
        return
    question = Question(
        turn.project_id, wish, (turn.namespace,), top_k=MOST_MEANT, threshold=MEANT_FROM, user_id=turn.user_id
    )
    found = await recall(resources, question)
    if not found:
        progress.words.append(NOTHING_FOUND)
        return
    memories = [as_recalled(each.memory, each.score) for each in found]
    progress.forget = ForgetQuestion(memories=memories)
    progress.words.append(ask([memory.memory for memory in memories]))


async def answer_confirmation(resources: Resources, turn: Turn, progress: Progress) -> None:
    """Only memories of this profile; those that are gone already count as forgotten."""
    progress.about_forgetting = True
    if not turn.promise.reads_memories:
        progress.words.append(IN_INCOGNITO)
        return
    await _forget_around(resources, turn, turn.confirm_forget)
    progress.forgotten = await forget(resources, turn.namespace, turn.confirm_forget)
    progress.words.append(report(len(progress.forgotten)))


async def _forget_around(resources: Resources, turn: Turn, ids: Sequence[UUID]) -> None:
    values = {"project_id": turn.project_id, "namespace": str(turn.namespace), "ids": list(ids)}
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        await tx.execute(STOP_EXTRACTION, values)
        await tx.execute(BLANK_INPUT, values)
