# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""The time before or after an event that a question tells: "before I moved". The memory that states the event dates it.

Only candidates are read, so it costs no further search.
"""

import datetime as dt
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from app.core.text.content_words import content_words, coverage
from app.core.text.times.read_times import Period

MIN_COVERAGE = 0.6
"""The share of the words of the event that the memory must state."""
MAX_READ, MAX_CHARACTERS = 20, 500
"""Memories that have most words in common with the question, and how much of each is read."""
BEFORE, AFTER = "before", "after"
FOLLOWING = {
    BEFORE: (
        r"\b(?:before|until) (?=(?:i|we|he|she|they|my|our|his|her|their|the)\b)",
        r"\b(?:bevor|ehe) ",
        r"\bantes de (?:que )?(?!\d)",
        r"\b(?:до того,? как|перед тем,? как|прежде чем) ",
        r"(?<!\w)قبل [أا]ن ",
    ),
    AFTER: (
        r"\b(?:after|since) (?=(?:i|we|he|she|they|my|our|his|her|their|the)\b)",
        r"\b(?:nachdem|seitdem|seit ich) ",
        r"\b(?:después de|desde) que |\bdespués de (?!\d)",
        r"\b(?:после того,? как|с тех пор,? как) ",
        r"(?<!\w)(?:بعد|منذ) [أا]ن ",
    ),
}
"""What stands before the clause."""
PRECEDING = {
    BEFORE: (r"m[ae]dan önce\b", r" (?:से|के) पहले(?!\w)", r"(?:之前|以前|(?<!目)前(?!任|天|面))"),
    AFTER: (
        r"(?:d[ıiuü]|t[ıiuü])ktan sonra\b|(?:ı|i|u|ü)p (?:sonra)\b",
        r" के बाद(?!\w)",
        r"(?:之后|以后|后(?!来|面|天))",
    ),
}
"""What stands after the clause, in Turkish, Hindi and Chinese."""


class Told(Protocol):
    @property
    def bm25(self) -> float | None: ...
    @property
    def content(self) -> str: ...
    @property
    def created_at(self) -> dt.datetime: ...


class Clause(NamedTuple):
    relation: str
    words: list[str]


def period_of_event(question: str, found: Sequence[Told]) -> Period | None:
    """None if the question tells no event, or no candidate states it."""
    clause = read_clause(question)
    if clause is None:
        return None
    likeliest = sorted((each for each in found if each.bm25), key=lambda each: each.bm25 or 0.0, reverse=True)
    shares = [(_share(clause.words, each), each.created_at) for each in likeliest[:MAX_READ]]
    best = max(shares, key=lambda share: share[0], default=(0.0, None))
    if best[0] < MIN_COVERAGE:
        return None
    return Period(None, best[1]) if clause.relation == BEFORE else Period(best[1], None)


def read_clause(question: str) -> Clause | None:
    lower = question.lower()
    if not ANY.search(lower):
        return None
    for relation, pattern in PATTERNS:
        match = pattern.search(lower)
        words = content_words(next(filter(None, match.groups()))) if match else []
        if words:
            return Clause(relation, words)
    return None


def _share(words: list[str], each: Told) -> float:
    return (
        0.0
        if each.content.endswith(("?", "？", "؟"))
        else coverage(words, content_words(each.content[:MAX_CHARACTERS]))
    )


PATTERNS = [
    *(
        (relation, re.compile(rf"(?:{start})([^,;.?!،؟]{{2,80}})"))
        for relation in FOLLOWING
        for start in FOLLOWING[relation]
    ),
    *(
        (relation, re.compile(rf"([^,;.?!，。？！]{{2,40}}?)(?:{end})"))
        for relation in PRECEDING
        for end in PRECEDING[relation]
    ),
]
ANY = re.compile(
    "|".join(
        [
            rf"(?<!\w)(?:{'|'.join(form for forms in FOLLOWING.values() for form in forms)})",
            *(form for forms in PRECEDING.values() for form in forms),
        ]
    )
)
