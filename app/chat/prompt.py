"""Build what the model is asked: persona, memories with their dates, summary, recent messages, within a token budget.

The answer always has room; when there is too much, the oldest messages go first, then the weakest memories.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.ports import ChatMessage, Role

REMEMBERED = "What you remember about this person:"
EARLIER = "Earlier in this conversation:"
INSTRUCTIONS = "You are a helpful assistant. Answer in the language of the person you are talking with."
USE_OF_MEMORIES = "Use what you remember where it bears on the message, without listing it. It may be out of date."
BYTES_PER_TOKEN = 3.5
PER_MESSAGE = 4
SHARE_OF_MEMORIES = 0.35


@dataclass(frozen=True, slots=True)
class RememberedLine:
    text: str
    said_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Material:
    persona: str | None
    memories: Sequence[RememberedLine]
    """Best first."""
    summary: str | None
    recent: Sequence[ChatMessage]
    """Oldest first."""
    message: str


def estimate_tokens(text: str) -> int:
    """On the safe side for every script: no tokenizer is shipped, and each provider has its own."""
    return int(len(text.encode()) / BYTES_PER_TOKEN) + PER_MESSAGE


def build_prompt(material: Material, budget: int) -> list[ChatMessage]:
    """The message itself is never cut: whoever sends one beyond the budget has been refused before."""
    asked = ChatMessage(Role.USER, material.message)
    left = budget - estimate_tokens(material.message)
    system = _system(material, left)
    recent = _newest_that_fit(material.recent, left - estimate_tokens(system))
    return [ChatMessage(Role.SYSTEM, system), *recent, asked]


def _system(material: Material, budget: int) -> str:
    parts = [cut(material.persona or INSTRUCTIONS, budget // 2)]
    if lines := _best_that_fit(material.memories, int(budget * SHARE_OF_MEMORIES)):
        parts.append("\n".join([REMEMBERED, *lines, "", USE_OF_MEMORIES]))
    if material.summary:
        parts.append(f"{EARLIER}\n{cut(material.summary, budget // 8)}")
    return "\n\n".join(parts)


def _best_that_fit(memories: Sequence[RememberedLine], budget: int) -> list[str]:
    lines: list[str] = []
    for memory in memories:
        line = f"- ({memory.said_at:%Y-%m-%d}) {' '.join(memory.text.split())}"
        budget -= estimate_tokens(line)
        if budget < 0:
            break
        lines.append(line)
    return lines


def _newest_that_fit(recent: Sequence[ChatMessage], budget: int) -> list[ChatMessage]:
    kept: list[ChatMessage] = []
    for message in reversed(recent):
        budget -= estimate_tokens(message.content)
        if budget < 0:
            break
        kept.append(message)
    return kept[::-1]


def cut(text: str, tokens: int) -> str:
    """Shorten to about so many tokens, at a whole character."""
    most = max(0, int(tokens * BYTES_PER_TOKEN))
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[:most].decode(errors="ignore")
