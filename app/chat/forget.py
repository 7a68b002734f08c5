"""Recognise a wish to be forgotten (pure), and word the answers to it."""

import re
from collections.abc import Sequence

WISHES = re.compile(
    r"^\s*(?:(?:please|kindly|can you|could you|i want you to|i'd like you to|bitte|por favor|s'il te plaît)[,\s]+)*"
    r"(?:forget|erase|delete|stop remembering|don't remember|do not remember|vergiss|olvida|oublie)\b[,\s]*"
    r"(?:the memory\s+|what i (?:said|told you)\s+|everything\s+|anything\s+|all\s+|alles\s+|todo\s+|tout\s+)*"
    r"(?:you know\s+|you remember\s+)?"
    r"(?:that\s+|about\s+|of\s+|dass\s+|über\s+|que\s+|sobre\s+|ce que\s+)*(?P<what>.*)$",
    re.IGNORECASE | re.DOTALL,
)
TALKING_ABOUT = re.compile(r"^\s*(?:forget|erase|delete)\s+(?:it|this|the (?:file|line|row|branch))\b", re.IGNORECASE)


def what_to_forget(content: str) -> str | None:
    """What a person asks to have forgotten, in their words; None when they ask for something else."""
    match = WISHES.match(content)
    if match is None or TALKING_ABOUT.match(content):
        return None
    what = match["what"].strip(" .!?\n\t")
    return what or None


def ask(memories: Sequence[str]) -> str:
    lines = "\n".join(f"- {memory}" for memory in memories)
    return f"This is what I remember about that:\n{lines}\nShall I forget it? Please confirm which."


NOTHING_FOUND = "I remember nothing about that, so there is nothing to forget."


def report(count: int) -> str:
    if count == 0:
        return "I had forgotten that already."
    return f"I have forgotten {count} {'memory' if count == 1 else 'memories'} for good."
