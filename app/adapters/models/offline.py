"""What works without any language model, and says so: facts are a person's own sentences, answers are what is known."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence

from app.adapters.models.offline_sentences import sentences, states_something
from app.core.ports import (
    ChatMessage,
    ExtractedFact,
    Extraction,
    ExtractionRequest,
    ModelOptions,
    Role,
    Token,
    Usage,
)

NOTE = "No language model is configured: what the person stated was kept in their own words."
REMEMBERED = "What you remember about this person:"
"""The line of the system message below which memories stand, each on a line that starts with `- `."""
ALONE = "No language model is configured, so I cannot answer freely."
KNOWS = f"{ALONE} What I remember that bears on this:"
KNOWS_NOTHING = f"{ALONE} I remember nothing that bears on this."
MOST_SHOWN = 5


class OfflineExtractor:
    """Keeps a person's own statements as they stand: no questions, greetings, thanks or commands."""

    name = "offline"

    async def extract(self, request: ExtractionRequest) -> Extraction:
        said = [message.content for message in request.messages if message.role is Role.USER]
        stated = [sentence for content in said for sentence in sentences(content) if states_something(sentence)]
        return Extraction([ExtractedFact(sentence) for sentence in dict.fromkeys(stated)], note=NOTE)

    async def close(self) -> None:
        """Nothing is held."""


class OfflineModel:
    """Answers every message with what is remembered about it, word by word like any other model."""

    name = "offline"

    async def stream(
        self, messages: Sequence[ChatMessage], options: ModelOptions
    ) -> AsyncGenerator[Token | Usage, None]:
        shown = remembered(messages)[:MOST_SHOWN]
        answer = "\n- ".join([KNOWS, *shown]) if shown else KNOWS_NOTHING
        parts = re.findall(r"\s*\S+", answer)
        for part in parts[: options.max_tokens]:
            yield Token(part)
            await asyncio.sleep(0)  # whoever listens gets each word when it is said
        yield Usage()

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        """Nothing is held."""


def remembered(messages: Sequence[ChatMessage]) -> list[str]:
    """The memories a system message shows, best first as recall put them."""
    found: list[str] = []
    for message in messages:
        if message.role is Role.SYSTEM and REMEMBERED in message.content:
            for line in message.content.split(REMEMBERED, 1)[1].splitlines()[1:]:
                if not line.startswith("- "):
                    break
                found.append(line.removeprefix("- "))
    return found
