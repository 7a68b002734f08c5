"""Answer a wish to be forgotten: find what is meant, name it, and erase it once it is confirmed."""

from app.chat.asked import Turn
from app.chat.forget import NOTHING_FOUND, ask, report
from app.chat.progress import Progress, as_recalled
from app.chat.schemas import ForgetQuestion
from app.core.resources import Resources
from app.memory.change import forget
from app.memory.recall import Question, recall

MOST_MEANT = 10
MEANT_FROM = 0.2


async def answer_wish(resources: Resources, turn: Turn, wish: str, progress: Progress) -> None:
    question = Question(
        turn.project_id, wish, (turn.namespace,), top_k=MOST_MEANT, threshold=MEANT_FROM, user_id=turn.user_id
    )
    found = await recall(resources, question)
    progress.about_forgetting = True
    if not found:
        progress.words.append(NOTHING_FOUND)
        return
    memories = [as_recalled(each.memory, each.score) for each in found]
    progress.forget = ForgetQuestion(memories=memories)
    progress.words.append(ask([memory.memory for memory in memories]))


async def answer_confirmation(resources: Resources, turn: Turn, progress: Progress) -> None:
    """Only memories of this profile; those that are gone already count as forgotten."""
    progress.about_forgetting = True
    progress.forgotten = await forget(resources, turn.namespace, turn.confirm_forget)
    progress.words.append(report(len(progress.forgotten)))
