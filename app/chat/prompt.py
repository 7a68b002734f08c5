"""Build the prompt within a token budget: persona, memories with their dates, summary, recent messages.

The answer always has room. If the parts do not fit, the oldest messages are left out first, then the weakest memories.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.ports import ChatMessage, Role

REMEMBERED = "What you remember about this person:"
EARLIER = "Earlier in this conversation:"
INSTRUCTIONS = "You are a helpful assistant. Answer in the language of the person you are talking with."
MEMORY_INSTRUCTIONS = "Use what you remember where it bears on the message, without listing it. It may be out of date."
BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 4
MEMORY_SHARE = 0.35


@dataclass(frozen=True, slots=True)
class RememberedLine:
    text: str
    created_at: dt.datetime


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
    """Never too low, for any script: no tokenizer is shipped, because each provider has its own."""
    return int(len(text.encode()) / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE


def build_prompt(material: Material, budget: int) -> list[ChatMessage]:
    """The message itself is never shortened: `prepare` refuses one that is too long."""
    question = ChatMessage(Role.USER, material.message)
    left = budget - estimate_tokens(material.message)
    system = _system(material, left)
    recent = _fitting_messages(material.recent, left - estimate_tokens(system))
    return [ChatMessage(Role.SYSTEM, system), *recent, question]


def _system(material: Material, budget: int) -> str:
    parts = [cut(material.persona or INSTRUCTIONS, budget // 2)]
    if lines := _fitting_memories(material.memories, int(budget * MEMORY_SHARE)):
        parts.append("\n".join([REMEMBERED, *lines, "", MEMORY_INSTRUCTIONS]))
    if material.summary:
        parts.append(f"{EARLIER}\n{cut(material.summary, budget // 8)}")
    return "\n\n".join(parts)


def _fitting_memories(memories: Sequence[RememberedLine], budget: int) -> list[str]:
    lines: list[str] = []
    for memory in memories:
        line = f"- ({memory.created_at:%Y-%m-%d}) {' '.join(memory.text.split())}"
        budget -= estimate_tokens(line)
        if budget < 0:
            break
        lines.append(line)
    return lines


def _fitting_messages(recent: Sequence[ChatMessage], budget: int) -> list[ChatMessage]:
    kept: list[ChatMessage] = []
    for message in reversed(recent):
        budget -= estimate_tokens(message.content)
        if budget < 0:
            break
        kept.append(message)
    return kept[::-1]


def cut(text: str, tokens: int) -> str:
    """Shorten to about this many tokens, without splitting a character."""
    limit = max(0, int(tokens * BYTES_PER_TOKEN))
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore")
