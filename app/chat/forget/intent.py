"""Recognise a request to forget (pure), and phrase the answers to it.

Only a plain request at the beginning of a message counts: mistaking another sentence for a request costs the user an
answer, while missing a request only costs asking again.
"""

import re
from collections.abc import Sequence

POLITE = r"(?:(?:please|kindly|can you|could you|would you|will you|i want you to|i'd like you to|i would like you to"
POLITE += r"|bitte|kannst du|könntest du|por favor|s'il te plaît|now|just|also)[,\s]+)*"
THINGS = r"(?:memory|memories|fact|note)s?"
# "Forget" is enough by itself. "Delete" and similar verbs need a word for memory: people also delete files and rows.
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
NOTHING_FOUND = "No memory matches, so there is nothing to delete."
IN_INCOGNITO = (
    "Memories are neither read nor stored in incognito. Ask again in another privacy mode to see the memories that"
    " match."
)


def what_to_forget(content: str) -> str | None:
    """What the user asks to forget, in the user's words; None if the message is not such a request."""
    plain = content.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    match = FROM_MEMORY.match(plain) or WISH.match(plain)
    if match is None:
        return None
    what = match["what"].strip(" ,;:\t")
    return None if not what or NO_WISH.match(what) else what


def confirmation_question(memories: Sequence[str]) -> str:
    lines = "\n".join(f"- {memory}" for memory in memories)
    return f"These memories match:\n{lines}\nPlease confirm which of them to delete."


def deletion_report(count: int) -> str:
    if count == 0:
        return "That memory was already deleted."
    things = "memory" if count == 1 else "memories"
    return f"Deleted {count} {things} permanently. The messages of your conversations stay until you delete them."
