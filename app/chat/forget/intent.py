"""Recognise a wish to be forgotten (pure), and word the answers to it.

Only a plain wish counts, at the beginning of a message: taking one sentence too many for a wish costs an answer,
taking one too few costs no more than asking again.
"""

import re
from collections.abc import Sequence

POLITE = r"(?:(?:please|kindly|can you|could you|would you|will you|i want you to|i'd like you to|i would like you to"
POLITE += r"|bitte|kannst du|könntest du|por favor|s'il te plaît|now|just|also)[,\s]+)*"
THINGS = r"(?:memory|memories|fact|note)s?"
# "Forget" says it alone; "delete" and its like only where memory is named: people delete files and rows too.
FORGET = r"(?:forget|stop remembering|(?:don't|do not) remember|vergiss|olvida|oublie)(?![\w'-])"
ERASE = r"(?:erase|delete|remove|lösche)\s+(?:(?:the|your|any|all|every|that|this)\s+)*"
REMEMBERED = r"(?:what|that|everything|anything|all)\s+(?:that\s+)?"
REMEMBERED += r"(?:you\s+(?:know|remember|have|stored)|i\s+(?:just\s+)?(?:said|told\s+you))"
LINK = r"(?:[,:\s]+(?:this(?=\s*:)|that|about|of|dass|über|que|sobre|ce que|to)\b)*"
WISH = re.compile(
    rf"^\s*{POLITE}(?:{FORGET}(?:[,\s]+(?:{REMEMBERED}|(?:the\s+)?{THINGS}))?"
    rf"|{ERASE}{THINGS}|(?:erase|delete|remove|lösche)\s+{REMEMBERED}){LINK}[,:\s]+(?P<what>[^.!?\n]+)",
    re.IGNORECASE,
)
FROM_MEMORY = re.compile(
    rf"^\s*{POLITE}(?:erase|delete|remove)\s+(?P<what>[^.!?\n]+?)\s+from\s+(?:your\s+)?{THINGS}\b", re.IGNORECASE
)
NO_WISH = re.compile(
    r"^(?:not|nicht|no|pas|to|zu|it|this|that|es|das|ça|eso|lo"
    r"|(?:about\s+)?(?:it|this|that)(?:\s+(?:all|for now))?"
    r"|(?:all\s+)?(?:the|your|any|my)?\s*(?:previous|prior|above|earlier|system)?\s*"
    r"(?:instructions?|rules?|prompts?|question|request|conversation so far)\b.*"
    r"|(?:not|nicht|no|pas|to|zu)\b.*"
    r"|.*\bfor (?:a|one) (?:moment|second|minute|bit|while)\b.*|.*\bfor now)$",
    re.IGNORECASE,
)
NOTHING_FOUND = "I remember nothing about that, so there is nothing to forget."
IN_INCOGNITO = (
    "In incognito I look at no memories, and keep none. Ask me again in another mode, and I will show you what I"
    " remember about it."
)


def what_to_forget(content: str) -> str | None:
    """What a person asks to have forgotten, in their words; None when they ask for something else."""
    plain = content.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    match = FROM_MEMORY.match(plain) or WISH.match(plain)
    if match is None:
        return None
    what = match["what"].strip(" ,;:\t")
    return None if not what or NO_WISH.match(what) else what


def ask(memories: Sequence[str]) -> str:
    lines = "\n".join(f"- {memory}" for memory in memories)
    return f"This is what I remember about that:\n{lines}\nShall I forget it? Please confirm which."


def report(count: int) -> str:
    if count == 0:
        return "I had forgotten that already."
    things = "memory" if count == 1 else "memories"
    return (
        f"I have forgotten {count} {things} for good. What was said in a conversation stays there until you delete it."
    )
