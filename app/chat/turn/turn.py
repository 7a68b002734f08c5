"""Answer one chat turn: recall, ask the model, stream its tokens, record. No connection is held during the answer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.forget.respond import ask_what_to_forget, forget_confirmed
from app.chat.progress import Progress, TurnEvent
from app.chat.prompt import Material, RememberedLine, build_prompt, estimate_tokens
from app.chat.schemas import RecalledMemory
from app.chat.turn.record import Recorded, answer_data, build_exchange, extended_window, record_statements
from app.chat.turn.session_lock import renew_lease
from app.chat.types import Answered, Prepared
from app.core.errors import AppError
from app.core.observability.metrics import RECALLS_FAILED
from app.core.ports import ChatMessage, Token, Usage
from app.core.resources import Resources
from app.core.text.forget_requests import ForgetRequest, read_forget_request
from app.core.text.standing_statements import standing_excerpt
from app.memory.ledger import count_added
from app.memory.recall import Question, embed_question, is_embedded, load_visible, recall
from app.projects.token_usage import usage_statement
from app.sessions.models import Message, Session
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository
from app.sessions.window import WindowMessage, window_store

log = structlog.get_logger()
RECALL_SECONDS = 5
NOT_STORED = "\n\n(As you wish, this message and the answer are not stored.)"


@dataclass(slots=True)
class ChatTurn:
    """One turn on its way from the question to the recorded answer."""

    resources: Resources
    prepared: Prepared
    progress: Progress = field(default_factory=Progress)

    async def run(self) -> AsyncGenerator[TurnEvent, None]:
        """Closing this early, for example because the client has gone, stops the model and abandons the turn."""
        background, answered = self.resources.background, False
        renewing = background.start(self._keep_session())
        try:
            async with aclosing(self._answer()) as events:
                async for event in events:
                    yield event
            answered = True
        finally:
            renewing.cancel()
            if not answered:
                await background.finish(self.abandon())
        recorded = await background.finish(self.record())
        yield TurnEvent("message", answer_data(self.prepared, self.progress, recorded))
        yield TurnEvent("done", {})

    async def _keep_session(self) -> None:
        """Renew the lease until the turn ends or the session belongs to another turn."""
        running = self.resources.running_turns
        running.add(self.prepared.id)
        try:
            while await self._renew_lease():
                pass
        finally:
            running.discard(self.prepared.id)

    async def _renew_lease(self) -> bool:
        await asyncio.sleep(self.resources.config.lease_renewed_seconds)
        try:
            return await renew_lease(self.resources, self.prepared)
        except SQLAlchemyError as error:
            log.warning("chat.lease_not_renewed", session_id=str(self.prepared.session_id), exc_info=error)
            return True

    async def _answer(self) -> AsyncGenerator[TurnEvent, None]:
        """Requests to forget are answered here; everything else by the model, with the recalled memories."""
        request = read_forget_request(self.prepared.content)
        if request is not None or self.prepared.confirmed is not None:
            await self._answer_about_forgetting(request)
            yield _recalled_event(self.progress)
            yield TurnEvent("token", {"text": "".join(self.progress.tokens)})
            return
        await self.recall()
        yield _recalled_event(self.progress)
        async with aclosing(self.stream()) as tokens:
            async for token in tokens:
                yield token
        if self.prepared.off_the_record:
            self.progress.tokens.append(NOT_STORED)
            yield TurnEvent("token", {"text": NOT_STORED})

    async def _answer_about_forgetting(self, request: ForgetRequest | None) -> None:
        self.progress.about_forgetting = True
        turn = self.prepared
        if request is None or turn.confirmed is not None:
            reply = await forget_confirmed(self.resources, turn)
        else:
            reply = await ask_what_to_forget(self.resources, turn, request)
        if reply.deleted_positions:
            recent = [message for message in turn.recent if message.position not in reply.deleted_positions]
            self.prepared = replace(turn, recent=recent)
        self.progress.tokens.append(reply.answer)
        self.progress.forget, self.progress.forgotten = reply.question, reply.forgotten
        self.progress.by_meaning = reply.by_meaning

    async def recall(self) -> None:
        """A turn goes on without memories if they cannot be read, and its answer reports that."""
        turn, config = self.prepared, self.resources.config
        if not turn.policy.reads_memories:
            return
        question = Question(
            turn.namespace.project_id,
            turn.content,
            (turn.namespace,),
            top_k=config.recalled_memories,
            threshold=config.recall_threshold,
            with_undecided=True,
            user_id=turn.namespace.user_id,
            in_conversation=turn.in_session,
        )
        try:
            async with (
                asyncio.timeout(RECALL_SECONDS),
                embed_question(
                    self.resources.embedder, question.project_id, question.text, in_conversation=turn.in_session
                ) as vector,
            ):
                found = await recall(self.resources, question, vector)
        except (AppError, OSError, SQLAlchemyError) as error:
            log.warning("chat.recall_failed", session_id=str(turn.session_id), exc_info=error)
            RECALLS_FAILED.inc()
            self.progress.recall_failed = True
            return
        self.progress.answerable = any(each.fits for each in found)
        self.progress.by_meaning = is_embedded(vector)
        self.progress.nothing_known = not found and self.progress.by_meaning
        recent = {message.content for message in turn.recent}
        new = [each for each in found if each.memory.content not in recent]
        self.progress.recalled = [RecalledMemory.of(each.memory, each.score, each.parts) for each in new]
        self.progress.remembered = [each.memory for each in new]

    async def stream(self) -> AsyncGenerator[TurnEvent, None]:
        progress, prompt = self.progress, self.prompt()
        progress.prompt_tokens = sum(estimate_tokens(message.content) for message in prompt)
        async with aclosing(self.resources.llm.stream(prompt, self.prepared.options)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Token):
                    progress.tokens.append(piece.text)
                    yield TurnEvent("token", {"text": piece.text})
                else:
                    progress.usage = piece

    def prompt(self) -> list[ChatMessage]:
        turn = self.prepared
        material = Material(
            persona=turn.persona,
            memories=[RememberedLine.of(memory) for memory in self.progress.remembered],
            nothing_known=self.progress.nothing_known,
            standing=[RememberedLine.of(memory, standing_excerpt(memory.content)) for memory in turn.standing],
            user_profile=turn.user_profile,
            summary=turn.summary,
            recent=[message.as_chat for message in turn.recent],
            message=turn.content,
        )
        return build_prompt(material, self.resources.config.context_tokens)

    async def record(self) -> Recorded:
        """A turn that cannot be recorded leaves what an interrupted turn leaves."""
        try:
            keeps_transcript = self.prepared.policy.keeps_transcript
            return await (self._record_transcript() if keeps_transcript else self._record_incognito())
        except (AppError, SQLAlchemyError):
            await self.abandon()
            raise

    async def _record_transcript(self) -> Recorded:
        """Messages, usage and the job that extracts facts: all of it in one transaction, or nothing."""
        resources, turn = self.resources, self.prepared
        async with self._transaction() as tx:
            session = await self._lock_session(tx)
            # A user who paused during the answer does not want this message memorized either.
            paused = session.privacy_mode != PrivacyMode.NORMAL
            exchange = build_exchange(resources, turn, self.progress, paused=paused)
            rows = await resources.database.pipeline_in(tx, *record_statements(resources, exchange))
        # First the window: the queue may be full, and what is erased meanwhile must not come back.
        window = extended_window(turn, exchange.window({row.id: row.position for row in rows}))
        await window_store(resources, turn.namespace.project_id).save(turn.session_id, window, active=True)
        await resources.index_queue.put(exchange.changes, from_chat=True)
        count_added(resources, turn.namespace.project_id, len(exchange.changes))
        return Recorded(exchange.question.id, exchange.answer.id, exchange.event_id)

    async def _record_incognito(self) -> Recorded:
        """Saved first, then deleted if the session left incognito meanwhile: the order leaves no gap between both."""
        turn = self.prepared
        store = window_store(self.resources, turn.namespace.project_id)
        key = f"{turn.idempotency_key}:{turn.fingerprint.hex()}" if turn.idempotency_key else ""
        answer = WindowMessage("assistant", "".join(self.progress.tokens), key=key)
        earlier = await store.load_incognito(turn.session_id)
        await store.save_incognito(turn.session_id, [*earlier, WindowMessage("user", turn.content), answer])
        async with self._transaction() as tx:
            sessions = SessionRepository(tx, turn.namespace.project_id, turn.namespace.user_id)
            session = await sessions.find(turn.session_id)
            wanted = session is not None and session.privacy_mode == turn.mode and session.turn_id == turn.id
            await self._end(tx)
        if not wanted:
            await store.delete_incognito(turn.session_id)
        return Recorded()

    async def abandon(self) -> None:
        """The model failed or the client left: the transcript keeps the messages so far, and nothing is memorized."""
        progress = self.progress
        if progress.tokens and not progress.about_forgetting:
            # The provider reports no usage for an answer that broke off, but charges for it.
            progress.usage = Usage(progress.prompt_tokens, estimate_tokens("".join(progress.tokens)))
        messages: list[Message] = []
        try:
            async with self._transaction() as tx:
                session = await self._lock_session(tx)
                if self.prepared.policy.keeps_transcript:
                    messages = await self._add_interrupted(tx, session)
                await self._end(tx)
        except (SQLAlchemyError, AppError) as error:
            log.warning("chat.interrupted_turn_lost", session_id=str(self.prepared.session_id), exc_info=error)
            return
        if messages:
            window = extended_window(self.prepared, [WindowMessage.of(message) for message in messages])
            store = window_store(self.resources, self.prepared.namespace.project_id)
            await store.save(self.prepared.session_id, window, active=True)

    async def _add_interrupted(self, tx: AsyncSession, session: Session) -> list[Message]:
        turn, answer = self.prepared, "".join(self.progress.tokens)
        repository = MessageRepository(tx, turn.namespace.project_id)
        metadata: dict[str, object] = {"interrupted": True}
        if turn.idempotency_key:
            metadata["idempotency_key"] = turn.idempotency_key
        messages = [await repository.append(session, "user", turn.content, mode=turn.mode, metadata_=metadata)]
        if answer:
            messages.append(await repository.append(session, "assistant", answer, mode=turn.mode, metadata_=metadata))
        return messages

    def _transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        namespace = self.prepared.namespace
        return self.resources.database.transaction(namespace.project_id, namespace.user_id, self.prepared.account_id)

    async def _lock_session(self, tx: AsyncSession) -> Session:
        turn = self.prepared
        sessions = SessionRepository(tx, turn.namespace.project_id, turn.namespace.user_id)
        return await sessions.lock_for_turn(turn.session_id, turn.id)

    async def _end(self, tx: AsyncSession) -> None:
        turn, project_id = self.prepared, self.prepared.namespace.project_id
        await SessionRepository(tx, project_id).end_turn(turn.session_id, turn.id)
        await tx.execute(
            *usage_statement(self.resources.config, project_id, self.progress.usage, model=turn.options.model, turns=1)
        )


async def repeat_answer(resources: Resources, turn: Answered) -> AsyncGenerator[TurnEvent, None]:
    previous = turn.previous
    found = {str(each["id"]): each for each in previous.recalled}
    rows = await load_visible(resources, turn.namespace, list(found))
    scores = [(row, found[str(row.id)]) for row in rows]
    recalled = [RecalledMemory.of(row, float(each["score"]), each.get("parts", {})) for row, each in scores]
    progress = Progress(recalled=recalled, answerable=bool(recalled), tokens=[previous.content], usage=previous.usage)
    recorded = Recorded(previous.user_message_id, previous.message_id, previous.event_id)
    yield _recalled_event(progress)
    yield TurnEvent("token", {"text": previous.content})
    yield TurnEvent("message", answer_data(turn, progress, recorded))
    yield TurnEvent("done", {})


def _recalled_event(progress: Progress) -> TurnEvent:
    memories = [memory.model_dump(mode="json") for memory in progress.recalled]
    state = {"failed": progress.recall_failed, "answerable": progress.answerable, "by_meaning": progress.by_meaning}
    return TurnEvent("recalled", {"memories": memories, **state})
