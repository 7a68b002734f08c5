"""What is known of each candidate of a question, as numbers: one row each, one column per name in FEATURES."""

import datetime as dt
import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.core.ports import Role
from app.memory.indexing.indexed_text import split_speaker
from app.memory.ledger.new_memory import Kind

Floats = NDArray[np.float64]
STEPS = (-2, -1, 1, 2)
AROUND = ("two_before", "before", "after", "two_after")
FEATURES = (
    "similarity",
    *(f"similarity_{place}" for place in AROUND),
    "bm25",
    *(f"bm25_{place}" for place in AROUND),
    "subject",
    "month",
    "asks",
    "answers",
)
UNRELATED = 0.0
"""Similarity of what is not there, or was not near enough to be a candidate."""
MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
NAME = re.compile(r"\b[^\W\d_a-z]\w+")
WORD = re.compile(r"\w+")
# `may` is a month only where it is written like one.
MONTH = re.compile(rf"\b(?:{'|'.join(month.title() for month in MONTHS)})\b")
NOT_NAMES = frozenset(
    [
        "What",
        "When",
        "Where",
        "Which",
        "Who",
        "Whom",
        "Whose",
        "Why",
        "How",
        "Did",
        "Does",
        "Do",
        "Is",
        "Are",
        "Was",
        "Were",
        "Has",
        "Have",
        "Had",
        "Can",
        "Could",
        "Would",
        "Will",
        "Should",
        "Might",
        "May",
        "The",
        "This",
        "That",
        "These",
        "Those",
        "In",
        "On",
        "At",
        "For",
        "From",
        "With",
        "And",
        "But",
        "If",
        "It",
        "Its",
        "They",
        "We",
        "You",
        "He",
        "She",
    ]
)
ME = frozenset("i me my mine myself we us our".split())  # noqa: SIM905
YOU = frozenset("you your yours yourself".split())  # noqa: SIM905


class Found(NamedTuple):
    """A candidate of the index with what the ledger knows of it."""

    id: UUID
    similarity: float | None
    bm25: float | None
    kind: str
    role: str
    content: str
    context: str | None
    run_id: str | None
    created_at: dt.datetime
    importance: float | None = None


def measure(question: str, found: Sequence[Found]) -> Floats:
    table = np.zeros((len(found), len(FEATURES)))
    if not found:
        return table
    table[:, 0] = _similarities(found)
    table[:, 5] = [each.bm25 or 0.0 for each in found]
    table[:, 10:] = _wording(question, found)
    if any(each.context and each.kind == Kind.EPISODE for each in found):
        around = _around(found)
        table[:, 1:5] = _of_neighbours(table[:, 0], around, UNRELATED)
        table[:, 6:10] = _of_neighbours(table[:, 5], around, 0.0)
    return table


def _similarities(found: Sequence[Found]) -> list[float]:
    """What only the words found is at most as near as the farthest that the meaning found."""
    floor = min([each.similarity for each in found if each.similarity is not None], default=UNRELATED)
    return [floor if each.similarity is None else each.similarity for each in found]


def _around(found: Sequence[Found]) -> NDArray[np.intp]:
    """Per candidate the places of its neighbours in the conversation: its context is the turn before it.

    A neighbour that is no candidate has the place after the last.
    """
    absent = len(found)
    places = {(each.run_id, each.content): place for place, each in enumerate(found)}
    before, after = np.full(absent + 1, absent), np.full(absent + 1, absent)
    for place, each in enumerate(found):
        if each.kind == Kind.EPISODE and each.context:
            previous = places.get((each.run_id, each.context), absent)
            before[place], after[previous] = previous, place
    after[absent] = absent
    return np.stack([before[before], before, after, after[after]])[:, :absent]


def _of_neighbours(values: Floats, around: NDArray[np.intp], absent: float) -> Floats:
    return np.append(values, absent)[around].T


def _wording(question: str, found: Sequence[Found]) -> list[tuple[bool, ...]]:
    subjects = _subjects(question)
    months = {MONTHS.index(month.lower()) + 1 for month in MONTH.findall(question)}
    return [
        (
            bool(subjects) and _subject(each) in subjects,
            each.created_at.month in months,
            each.content.endswith("?"),
            each.context is not None and "?" in each.context,
        )
        for each in found
    ]


def _subjects(question: str) -> set[str]:
    """Whom a question asks about: those it names, and the one whose role says `I` or `you` in it."""
    subjects = {name.lower() for name in NAME.findall(question) if name not in NOT_NAMES}
    words = set(WORD.findall(question.lower()))
    if words & ME:
        subjects.add(Role.USER)
    if words & YOU:
        subjects.add(Role.ASSISTANT)
    return subjects


def _subject(each: Found) -> str:
    """Who speaks, or whom a fact begins with; whoever has no name is their role."""
    speaker, _ = split_speaker(each.content)
    if speaker is None and each.kind == Kind.EPISODE:
        return each.role
    words = (speaker or each.content).split(maxsplit=1)
    return words[0].removesuffix("'s").lower() if words else each.role
