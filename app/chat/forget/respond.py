"""Answer a request to forget: find the memories that are meant, list them, and delete them once they are confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from app.chat.forget.intent import IN_INCOGNITO, NOTHING_FOUND, confirmation_question, deletion_report
from app.chat.schemas import ForgetQuestion, RecalledMemory
from app.chat.types import Prepared
from app.core.resources import Resources
from app.memory.forget import forget
from app.memory.recall import Question, recall

MAX_MATCHES = 10
MATCH_THRESHOLD = 0.2
# The content of the memories is also in extractions that have not run yet, and in the history of memories made from
# the same message.
DELETE_EXTRACTIONS_OF_MEMORIES_SQL = text("""
delete from events e where e.project_id = :project_id and e.namespace = :namespace
  and e.status in ('PENDING', 'RUNNING') and e.request ->> 'source_message_id' in (
    select m.source_message_id::text from memories m
    where m.project_id = :project_id and m.namespace = :namespace and m.id = any(:ids))
""")
CLEAR_HISTORY_INPUT_SQL = text("""
update memory_history h set input = null
where h.project_id = :project_id and h.input is not null and h.memory_id in (
  select m.id from memories m join memories f on f.project_id = m.project_id and f.namespace = m.namespace
    and f.source_message_id = m.source_message_id
  where f.project_id = :project_id and f.namespace = :namespace and f.id = any(:ids))
""")


@dataclass(frozen=True, slots=True)
class ForgetReply:
    answer: str
    question: ForgetQuestion | None = None
    forgotten: list[UUID] = field(default_factory=list)


async def ask_what_to_forget(resources: Resources, turn: Prepared, wish: str) -> ForgetReply:
    if not turn.policy.reads_memories:
        return ForgetReply(IN_INCOGNITO)
    namespace = turn.namespace
    question = Question(
        namespace.project_id,
        wish,
        (namespace,),
        top_k=MAX_MATCHES,
        threshold=MATCH_THRESHOLD,
        user_id=namespace.user_id,
    )
    found = await recall(resources, question)
    if not found:
        return ForgetReply(NOTHING_FOUND)
    memories = [RecalledMemory.of(each.memory, each.score, each.parts) for each in found]
    answer = confirmation_question([memory.memory for memory in memories])
    return ForgetReply(answer, ForgetQuestion(memories=memories))


async def forget_confirmed(resources: Resources, turn: Prepared) -> ForgetReply:
    """Deletes memories of this profile only. Memories that are already gone are not an error."""
    if not turn.policy.reads_memories:
        return ForgetReply(IN_INCOGNITO)
    await _delete_derived(resources, turn, turn.confirm_forget)
    forgotten = await forget(resources, turn.namespace, turn.confirm_forget)
    return ForgetReply(deletion_report(len(forgotten)), forgotten=forgotten)


async def _delete_derived(resources: Resources, turn: Prepared, ids: Sequence[UUID]) -> None:
    namespace = turn.namespace
    values = {"project_id": namespace.project_id, "namespace": str(namespace), "ids": list(ids)}
    async with resources.database.transaction(namespace.project_id, namespace.user_id, turn.account_id) as tx:
        await tx.execute(DELETE_EXTRACTIONS_OF_MEMORIES_SQL, values)
        await tx.execute(CLEAR_HISTORY_INPUT_SQL, values)
