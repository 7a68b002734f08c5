"""Answer a request for a completion: recall, pass the request on to the model with the memories, record."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.chat.completions.messages import ReadMessages, add_instructions, latest_exchanges, message_tokens
from app.chat.progress import TurnEvent
from app.chat.prompt import Material, RememberedLine, estimate_tokens, system_text
from app.chat.turn.record import Exchange, Recorded, build_exchange, extended_window
from app.chat.turn.turn import ChatTurn
from app.core.completion_messages import chunk_text, completion_text, first_choice, usage_of
from app.core.database.database import Statement
from app.core.errors import AppError
from app.core.ports import Json, Usage
from app.core.storable_text import TextCleaner, clean_text, is_blank
from app.core.text.standing_statements import standing_excerpt
from app.memory.ledger import access_count_statements, count_added
from app.projects.token_usage import usage_statement
from app.sessions.repository import MessageRepository
from app.sessions.window import WindowMessage, window_store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    body: Json
    messages: ReadMessages

    @property
    def is_streamed(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def is_memorable(self) -> bool:
        return self.messages.is_new and not is_blank(self.messages.question)


@dataclass(slots=True, kw_only=True)
class CompletionTurn(ChatTurn):
    """In a session: the transcript gets the last message and the answer, and nothing of the client's history."""

    request: CompletionRequest
    omitted_messages: int = 0
    """The oldest messages of the history, which do not fit into the prompt."""
    _cleaner: TextCleaner = field(default_factory=TextCleaner)

    async def recall(self) -> None:
        if is_blank(self.prepared.content):
            return
        await ChatTurn.recall(self)
        sent = self.request.messages.texts
        self.progress.recalled = [each for each in self.progress.recalled if each.memory not in sent]
        self.progress.remembered = [each for each in self.progress.remembered if each.content not in sent]

    async def stream(self) -> AsyncGenerator[TurnEvent, None]:
        """Yields what the model sends: one `completion`, or every `chunk` of it."""
        body = self.build_body()
        self.progress.prompt_tokens = message_tokens(body["messages"])
        if not self.request.is_streamed:
            answer = await self.resources.llm.relay(body)
            self.progress.tokens.append(clean_text(completion_text(answer)))
            self._note_usage(answer)
            yield TurnEvent("completion", answer)
            return
        async with aclosing(self.resources.llm.relay_stream(body)) as chunks:
            async for chunk in chunks:
                self._note_chunk(chunk)
                yield TurnEvent("chunk", chunk)
        self.progress.tokens.append(self._cleaner.finish())
        self._note_usage({})

    def _note_chunk(self, chunk: Json) -> None:
        if not first_choice(chunk).get("index") and (text := self._cleaner.feed(chunk_text(chunk))):
            self.progress.tokens.append(text)
        self.progress.usage = usage_of(chunk) or self.progress.usage

    def _note_usage(self, answer: Mapping[str, Any]) -> None:
        """An estimate if the model reports none. The offline model reports that it used none."""
        reported = usage_of(answer) or self.progress.usage
        if reported == Usage() and self.resources.config.has_model:
            reported = Usage(self.progress.prompt_tokens, estimate_tokens("".join(self.progress.tokens)))
        self.progress.usage = reported

    def build_body(self) -> Json:
        """What the client wrote, with the memories after its instructions and the limits of this server."""
        options = self.prepared.options
        body: Json = {**self.request.body, "messages": self._messages(), "max_tokens": options.max_tokens}
        body["model"] = options.model or self.resources.llm.name
        if not options.keep:
            body["store"] = False
            body.pop("metadata", None)  # It is kept with what is stored.
        return body

    def _messages(self) -> list[Json]:
        sent = self.request.messages
        left = self.resources.config.context_tokens - message_tokens([*sent.instructions, *sent.latest])
        added = system_text(self._material(), left, self.prepared.persona or "")
        history = latest_exchanges(sent.history, left - estimate_tokens(added))
        self.omitted_messages = len(sent.history) - len(history)
        return [*add_instructions(sent.instructions, added), *history, *sent.latest]

    def _material(self) -> Material:
        turn = self.prepared
        return Material(
            persona=None,
            memories=[RememberedLine.of(memory) for memory in self.progress.remembered],
            nothing_known=self.progress.nothing_known,
            standing=[RememberedLine.of(memory, standing_excerpt(memory.content)) for memory in turn.standing],
            user_profile=turn.user_profile,
            summary=turn.summary,
            recent=(),
            message="",
        )

    async def abandon(self) -> None:
        if not self.request.is_streamed and self.progress.prompt_tokens and not self.progress.tokens:
            # A whole answer that nobody waited for: how long it was is not known.
            self.progress.usage = Usage(self.progress.prompt_tokens, 0)
        await ChatTurn.abandon(self)

    async def _record_transcript(self) -> Recorded:
        if self.request.is_memorable or self.progress.about_forgetting:
            return await ChatTurn._record_transcript(self)
        return await self._record_answer()

    async def _record_answer(self) -> Recorded:
        """The answer after the result of a tool, or to something without text: the message of the user is stored
        already, or holds nothing to store."""
        turn, answer = self.prepared, "".join(self.progress.tokens)
        async with self._transaction() as tx:
            session = await self._lock_session(tx)
            repository = MessageRepository(tx, turn.namespace.project_id)
            stored = await repository.append(session, "assistant", answer, mode=turn.mode, id=turn.answer_id)
            await self._end(tx)
        window = extended_window(turn, [WindowMessage.of(stored)])
        await window_store(self.resources, turn.namespace.project_id).save(turn.session_id, window, active=True)
        return Recorded(message_id=stored.id)


@dataclass(slots=True, kw_only=True)
class SessionlessTurn(CompletionTurn):
    """For a client that keeps the conversation: memories are read and made as the privacy mode says, and no transcript
    is stored."""

    async def _keep_session(self) -> None:
        """There is no session to keep."""

    async def _record_transcript(self) -> Recorded:
        exchange = build_exchange(self.resources, self.prepared, self.progress, paused=not self.request.is_memorable)
        await self._execute(self._statements(exchange))
        await self.resources.index_queue.put(exchange.changes, from_chat=True)
        count_added(self.resources, self.prepared.namespace.project_id, len(exchange.changes))
        return Recorded(event_id=exchange.event_id)

    async def _record_incognito(self) -> Recorded:
        await self._execute([self._usage_statement()])
        return Recorded()

    async def abandon(self) -> None:
        """Nothing is memorized. The provider charges for what it has sent."""
        progress = self.progress
        if progress.prompt_tokens and not progress.about_forgetting:
            progress.usage = Usage(progress.prompt_tokens, estimate_tokens("".join(progress.tokens)))
        try:
            await self._execute([self._usage_statement()])
        except (SQLAlchemyError, AppError) as error:
            log.warning("chat.usage_lost", exc_info=error)

    def _statements(self, exchange: Exchange) -> Iterator[Statement]:
        if exchange.memorized:
            yield from exchange.memorized.statements
        if self.prepared.policy.counts_access:
            ids = [memory.id for memory in self.progress.recalled]
            yield from access_count_statements(self.prepared.namespace.project_id, ids)
        yield self._usage_statement()

    def _usage_statement(self) -> Statement:
        project_id, model = self.prepared.namespace.project_id, self.prepared.options.model
        return usage_statement(self.resources.config, project_id, self.progress.usage, model=model, turns=1)

    async def _execute(self, statements: Iterator[Statement] | list[Statement]) -> None:
        namespace = self.prepared.namespace
        await self.resources.database.pipeline(namespace.project_id, namespace.user_id, *statements)
