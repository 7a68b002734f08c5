"""Extraction and chat without a language model: facts are the user's own sentences, answers are related memories."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from app.adapters.models.offline_completions import offline_chunk, offline_completion, read_texts
from app.core.completion_messages import new_completion_id
from app.core.ports import (
    ChatMessage,
    ExtractedFact,
    Extraction,
    ExtractionRequest,
    Json,
    ModelOptions,
    Role,
    Token,
    Usage,
)
from app.core.text.excluded_words import contains_term, read_terms
from app.core.text.fenced_text import read_memories
from app.core.text.sentences import split_sentences
from app.core.text.standing_statements import is_standing
from app.core.text.statements import is_statement

OFFLINE_NOTE = "No language model is configured. Statements were stored word for word."
NO_MODEL = "No language model is configured, so I cannot answer freely."
RELATED_MEMORIES = f"{NO_MODEL} Related memories:"
NO_RELATED_MEMORIES = f"{NO_MODEL} I have no related memories."
MAX_SHOWN = 5
UNREAD_INSTRUCTIONS = "Instructions on what to remember had no effect: they need a language model."
LITERAL_EXCLUDES = "Sentences with the words of `excludes` were left out."
UNREAD_EXCLUDES = "`excludes` had no effect: without a language model, it takes words separated by commas."


class OfflineExtractor:
    """Stores the user's statements word for word, without questions, greetings, thanks and commands."""

    name = "offline"

    async def extract(self, request: ExtractionRequest) -> Extraction:
        sources: Sequence[int | None] = request.sources or [None] * len(request.messages)
        statements: dict[str, int | None] = {}
        excluded = read_terms(request.excludes) or []
        for message, source in zip(request.messages, sources, strict=True):
            if message.role is Role.USER:
                for sentence in filter(_is_worth_storing, split_sentences(message.content)):
                    if not contains_term(sentence, excluded):
                        statements.setdefault(sentence, source)
        facts = [ExtractedFact(sentence, source=source) for sentence, source in statements.items()]
        return Extraction(facts, note=_note(request))

    async def close(self) -> None:
        """There is nothing to close."""


def _note(request: ExtractionRequest) -> str:
    notes = [OFFLINE_NOTE]
    if request.has_wishes:
        notes.append(UNREAD_INSTRUCTIONS)
    if request.excludes:
        notes.append(UNREAD_EXCLUDES if read_terms(request.excludes) is None else LITERAL_EXCLUDES)
    return " ".join(notes)


def _is_worth_storing(sentence: str) -> bool:
    """A question or a command may state a preference: "I prefer short answers, can you explain TLS?"."""
    return is_statement(sentence) or is_standing(sentence)


class OfflineModel:
    """Answers every message with the related memories, streamed word by word like any other model."""

    name = "offline"

    async def stream(
        self, messages: Sequence[ChatMessage], options: ModelOptions
    ) -> AsyncGenerator[Token | Usage, None]:
        system = "\n".join(message.content for message in messages if message.role is Role.SYSTEM)
        shown = read_memories(system)[:MAX_SHOWN]
        answer = "\n- ".join([RELATED_MEMORIES, *shown]) if shown else NO_RELATED_MEMORIES
        parts = re.findall(r"\s*\S+", answer)
        for part in parts[: options.max_tokens]:
            yield Token(part)
            await asyncio.sleep(0)  # lets the caller send each word immediately
        yield Usage()

    async def relay(self, body: Mapping[str, Any]) -> Json:
        async with aclosing(self.stream(read_texts(body), ModelOptions())) as pieces:
            answer = "".join([piece.text async for piece in pieces if isinstance(piece, Token)])
        return offline_completion(answer)

    async def relay_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Json, None]:
        completion_id = new_completion_id()
        async with aclosing(self.stream(read_texts(body), ModelOptions())) as pieces:
            async for piece in pieces:
                yield offline_chunk(piece, completion_id)

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        """There is nothing to close."""
