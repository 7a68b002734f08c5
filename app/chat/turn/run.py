"""One turn: recall, ask the model, stream its words, record. No connection is held while the model thinks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.chat.forget.intent import what_to_forget
from app.chat.forget.respond import answer_confirmation, answer_wish
from app.chat.progress import Event, Progress, as_recalled
from app.chat.prompt import Material, RememberedLine, build_prompt, estimate_tokens
from app.chat.schemas import SaidMessage, TokenUsage, TurnAnswer
from app.chat.turn.record import Recorded, keep_interrupted, record_or_keep
from app.chat.turn.session_lock import renewed
from app.chat.types import AnsweredTurn, Turn
from app.core.errors import AppError
from app.core.ports import ChatMessage, Token
from app.core.resources import Resources
from app.memory.recall.recall import Question, recall, show

log = structlog.get_logger()
RECALL_SECONDS = 5


async def run_turn(resources: Resources, turn: Turn) -> AsyncGenerator[Event, None]:
    """Closing this early, as for a client that has gone, stops the model; the mode says what is kept."""
    progress = Progress()
    if turn.answered is not None:
        async for event in _answer_again(resources, turn, turn.answered, progress):
            yield event
        return
    answered = False
    try:
        async with renewed(resources, turn), aclosing(_answer(resources, turn, progress)) as events:
            async for event in events:
                yield event
        answered = True
    finally:
        if not answered:
            await resources.background.finish(keep_interrupted(resources, turn, progress))
    recorded = await resources.background.finish(record_or_keep(resources, turn, progress))
    yield Event("message", answer_of(turn, progress, recorded).model_dump(mode="json"))
    yield Event("done", {})


async def _answer(resources: Resources, turn: Turn, progress: Progress) -> AsyncGenerator[Event, None]:
    """Words on forgetting are answered by us; everything else by the model, with what is remembered."""
    wish = what_to_forget(turn.content)
    if turn.confirm_forget:
        await answer_confirmation(resources, turn, progress)
    elif wish:
        await answer_wish(resources, turn, wish, progress)
    if progress.about_forgetting:
        yield Event("recalled", {"memories": [], "failed": False})
        yield Event("token", {"text": progress.answer})
        return
    await _recall(resources, turn, progress)
    memories = [memory.model_dump(mode="json") for memory in progress.recalled]
    yield Event("recalled", {"memories": memories, "failed": progress.recall_failed})
    prompt = _prompt(resources, turn, progress)
    progress.prompt_tokens = sum(estimate_tokens(message.content) for message in prompt)
    async with aclosing(resources.llm.stream(prompt, turn.options)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Token):
                progress.words.append(piece.text)
                yield Event("token", {"text": piece.text})
            else:
                progress.usage = piece


async def _recall(resources: Resources, turn: Turn, progress: Progress) -> None:
    """Without memories a turn is poorer, not broken: it goes on, and says so."""
    if not turn.promise.reads_memories:
        return
    question = Question(
        turn.project_id,
        turn.content,
        (turn.namespace,),
        top_k=resources.values.recalled_memories,
        threshold=resources.values.recall_threshold,
        user_id=turn.user_id,
        in_conversation=True,
    )
    try:
        async with asyncio.timeout(RECALL_SECONDS):
            found = await recall(resources, question)
    except (AppError, OSError, SQLAlchemyError) as error:
        log.warning("chat.recall_failed", session_id=str(turn.session_id), exc_info=error)
        progress.recall_failed = True
        return
    said = {message.content for message in turn.recent}
    progress.recalled = [as_recalled(each.memory, each.score) for each in found if each.memory.content not in said]


def _prompt(resources: Resources, turn: Turn, progress: Progress) -> list[ChatMessage]:
    material = Material(
        persona=turn.persona,
        memories=[RememberedLine(memory.memory, memory.created_at) for memory in progress.recalled],
        summary=turn.summary,
        recent=[message.as_chat for message in turn.recent],
        message=turn.content,
    )
    return build_prompt(material, resources.values.context_tokens)


def answer_of(turn: Turn, progress: Progress, recorded: Recorded) -> TurnAnswer:
    return TurnAnswer(
        session_id=turn.session_id,
        privacy_mode=turn.mode,
        user_message=SaidMessage(id=recorded.user_message_id, role="user", content=turn.content),
        message=SaidMessage(id=recorded.message_id, role="assistant", content=progress.answer),
        recalled=progress.recalled,
        recall_failed=progress.recall_failed,
        event_id=recorded.event_id,
        will_remember=recorded.event_id is not None,
        forget=progress.forget,
        forgotten=progress.forgotten,
        usage=TokenUsage(
            prompt_tokens=progress.usage.prompt_tokens, completion_tokens=progress.usage.completion_tokens
        ),
    )


async def _answer_again(
    resources: Resources, turn: Turn, answered: AnsweredTurn, progress: Progress
) -> AsyncGenerator[Event, None]:
    scores = {str(each["id"]): float(each["score"]) for each in answered.recalled}
    rows = await show(resources, turn.namespace, list(scores))
    progress.recalled = [as_recalled(row, scores[str(row.id)]) for row in rows]
    progress.words, progress.usage = [answered.answer], answered.usage
    recorded = Recorded(answered.user_message_id, answered.message_id, answered.event_id)
    memories = [memory.model_dump(mode="json") for memory in progress.recalled]
    yield Event("recalled", {"memories": memories, "failed": False})
    yield Event("token", {"text": answered.answer})
    yield Event("message", answer_of(turn, progress, recorded).model_dump(mode="json"))
    yield Event("done", {})
