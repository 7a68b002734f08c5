"""The text that is embedded and the text that BM25 counts, for a memory and for a question.

Embedding a turn's own words alone recalls more than embedding several turns together, while BM25 gains from the turn
before: an answer seldom repeats the words of its question. The speaker's name counts for BM25 only: every turn of a
conversation names the same few people, so an embedding of it would mostly tell who speaks.
"""

import datetime as dt
import re

SPEAKER = re.compile(r"^([^\W\d_][\w.' -]{0,39}): +(?=\S)")
MAX_QUESTION_CHARACTERS = 1024
"""About as much as the shipped model reads, which is 256 tokens."""
AUXILIARY = "did|does|do|is|was|are|were|has|have|had|would|will|might|could|can|should"
POSSESSIVE = re.compile(r"(?<=\s)[A-Z][a-z]+(?:'s|s')(?=\s)")
SUBJECT = re.compile(rf"\b((?i:{AUXILIARY})) [A-Z][a-z]+\b(?! [A-Z])")


def split_speaker(content: str) -> tuple[str | None, str]:
    """`Ann: I moved` becomes Ann and `I moved`; a text without such a beginning has no speaker."""
    match = SPEAKER.match(content)
    return (match.group(1), content[match.end() :]) if match else (None, content)


def embedding_text(content: str) -> str:
    return split_speaker(content)[1]


def keyword_text(content: str, context: str | None = None, created_at: dt.datetime | None = None) -> str:
    """The date is spelled out, as a question would spell it."""
    date = f"{created_at.day} {created_at:%B %Y}" if created_at else ""
    return "\n".join(part for part in (date, context, content) if part)


def cut_question(question: str) -> str:
    """Its beginning and its end: what a long message asks is seldom in its middle."""
    if len(question) <= MAX_QUESTION_CHARACTERS:
        return question
    half = MAX_QUESTION_CHARACTERS // 2
    return f"{question[:half]}\n{question[-half + 1 :]}"


def query_text(question: str) -> str:
    """The text to embed: memories say `I` and `my` where a question says a name."""
    return SUBJECT.sub(r"\1 I", POSSESSIVE.sub("my", question))
