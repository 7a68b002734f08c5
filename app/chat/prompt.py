"""Build the prompt within a token budget: persona, memories with their dates and origins, summary, recent messages.

The persona is an instruction of the profile's owner. Memories and summary are data: see `core/text/fenced_text.py`.

The answer always has room. If the parts do not fit, the oldest messages are left out first, then the weakest memories.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from app.core.ports import ChatMessage, Role
from app.core.text.fenced_text import DATA_INSTRUCTIONS, MEMORIES, SUMMARY, Fence, plain_line
from app.memory.ledger import Kind, SearchRow

INSTRUCTIONS = "You are a helpful assistant. Answer in the language of the person you are talking with."
MEMORY_INSTRUCTIONS = (
    f"{DATA_INSTRUCTIONS} `memories` is what you remember about this person; `summary` is the earlier part of this"
    " conversation. Use them where they bear on the message, without listing them. They may be out of date."
)
BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 4
MEMORY_SHARE = 0.35
NAME_LENGTH = 40
"""Names of agents and apps are any text of the application."""


@dataclass(frozen=True, slots=True)
class RememberedLine:
    text: str
    created_at: dt.datetime
    origin: str = "said by the user"

    @classmethod
    def of(cls, memory: SearchRow) -> Self:
        verb = "said by" if memory.kind == Kind.EPISODE else "noted from"
        sources = {"agent": memory.agent_id, "app": memory.app_id}
        names = [f'{kind} "{plain_line(name)[:NAME_LENGTH]}"' for kind, name in sources.items() if name]
        return cls(memory.content, memory.created_at, ", ".join([f"{verb} the {memory.role}", *names]))

    def __str__(self) -> str:
        return f"- ({self.created_at:%Y-%m-%d}, {self.origin}) {plain_line(self.text)}"


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


FENCES_TOKENS = estimate_tokens(
    "\n\n".join([MEMORY_INSTRUCTIONS, Fence().enclose(MEMORIES, []), Fence().enclose(SUMMARY, [])])
)


def build_prompt(material: Material, budget: int) -> list[ChatMessage]:
    """The message itself is never shortened: `prepare` refuses one that is too long."""
    question = ChatMessage(Role.USER, material.message)
    left = budget - estimate_tokens(material.message)
    system = _system(material, left)
    recent = _fitting_messages(material.recent, left - estimate_tokens(system))
    return [ChatMessage(Role.SYSTEM, system), *recent, question]


def _system(material: Material, budget: int) -> str:
    """What is the same in every turn comes first, so that a provider can cache it."""
    if material.memories or material.summary:
        budget -= FENCES_TOKENS
    persona = cut(material.persona or INSTRUCTIONS, budget // 2)
    lines = _fitting_memories(material.memories, int(budget * MEMORY_SHARE))
    summary = cut(plain_line(material.summary or ""), budget // 8)
    if not lines and not summary:
        return persona
    fence, parts = Fence(), [persona, MEMORY_INSTRUCTIONS]
    if lines:
        parts.append(fence.enclose(MEMORIES, lines))
    if summary:
        parts.append(fence.enclose(SUMMARY, [summary]))
    return "\n\n".join(parts)


def _fitting_memories(memories: Sequence[RememberedLine], budget: int) -> list[str]:
    lines: list[str] = []
    for memory in memories:
        line = str(memory)
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
