"""What the index is given of a memory, and of a question: the words to embed, and the words for BM25.

A vector of the memory's own words finds more than one of several turns together, while BM25 finds more with the turn
before: an answer seldom repeats the words of what it answers. Who speaks is for BM25 too: every turn of a conversation
names the same few people, and a vector would mostly tell whose turn it is.
"""

import datetime as dt
import re

SPEAKER = re.compile(r"^([^\W\d_][\w.' -]{0,39}): +(?=\S)")
AUXILIARY = "did|does|do|is|was|are|were|has|have|had|would|will|might|could|can|should"
POSSESSIVE = re.compile(r"(?<=\s)[A-Z][a-z]+(?:'s|s')(?=\s)")
SUBJECT = re.compile(rf"\b((?i:{AUXILIARY})) [A-Z][a-z]+\b(?! [A-Z])")


def split_speaker(content: str) -> tuple[str | None, str]:
    """`Ann: I moved` is Ann's; a text without such a beginning is nobody's in particular."""
    match = SPEAKER.match(content)
    return (match.group(1), content[match.end() :]) if match else (None, content)


def embedding_text(content: str, context: str | None = None, said_at: dt.datetime | None = None) -> str:
    del context, said_at
    return split_speaker(content)[1]


def keyword_text(content: str, context: str | None = None, said_at: dt.datetime | None = None) -> str:
    """The date is in words, as a question would say it."""
    date = f"{said_at.day} {said_at:%B %Y}" if said_at else ""
    return "\n".join(part for part in (date, context, content) if part)


def query_text(question: str) -> str:
    """For the embedding: people tell of themselves as `I`, whoever asks about them says a name."""
    return SUBJECT.sub(r"\1 I", POSSESSIVE.sub("my", question))
