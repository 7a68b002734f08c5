# ruff: noqa: RUF001  (question marks of other scripts are intended)
"""The features of candidates that ranking weighs: one row for each candidate, one column for each name in FEATURES."""

import datetime as dt
import re
from collections.abc import Sequence, Set
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.core.ports import Role
from app.core.text.languages import Language
from app.core.text.persons import (
    is_about_user,
    is_named,
    question_languages,
    speaks_of_user,
    speaks_to_assistant,
)
from app.core.text.times.read_times import NamedTimes
from app.memory.indexing import split_speaker
from app.memory.ledger import Kind

Floats = NDArray[np.float64]
NEIGHBOURS = ("two_before", "before", "after", "two_after")
FEATURES = (
    "similarity",
    *(f"similarity_{neighbour}" for neighbour in NEIGHBOURS),
    "bm25",
    *(f"bm25_{neighbour}" for neighbour in NEIGHBOURS),
    "subject",
    "time",
    "asks",
    "answers",
)
UNRELATED = 0.0
"""The similarity of a turn that is no candidate."""
QUESTION_MARKS = ("?", "？", "؟")
NAME = re.compile(r"\b[^\W\d_a-z]\w+")
WORD = re.compile(r"\w+")
OPENING_WORDS = (
    "What When Where Which Who Whom Whose Why How Did Does Do Is Are Was Were Has Have Had Can Could Would Will Should"
    " Might May The This That These Those In On At For From With And But If It Its They We You He She"
)
NOT_NAMES = frozenset(OPENING_WORDS.split())
"""Words that are capitalized because they begin a question."""


class RankingInput(NamedTuple):
    """A candidate of the index, with the columns of the ledger that ranking reads."""

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
    profile_id: UUID | None = None
    agent_id: str | None = None
    app_id: str | None = None


def compute_features(question: str, found: Sequence[RankingInput], times: NamedTimes) -> Floats:
    table = np.zeros((len(found), len(FEATURES)))
    if not found:
        return table
    table[:, 0] = _similarities(found)
    table[:, 5] = [each.bm25 or 0.0 for each in found]
    table[:, 10:] = _wording(question, found, times)
    if any(each.context and each.kind == Kind.EPISODE for each in found):
        neighbours = _neighbour_rows(found)
        table[:, 1:5] = _values_of_neighbours(table[:, 0], neighbours, missing=UNRELATED)
        table[:, 6:10] = _values_of_neighbours(table[:, 5], neighbours, missing=0.0)
    return table


def _similarities(found: Sequence[RankingInput]) -> list[float]:
    """A candidate that only the words found counts as similar as the least similar one that the meaning found."""
    lowest = min([each.similarity for each in found if each.similarity is not None], default=UNRELATED)
    return [lowest if each.similarity is None else each.similarity for each in found]


def _neighbour_rows(found: Sequence[RankingInput]) -> NDArray[np.intp]:
    """The rows of each candidate's neighbours in the conversation: one line for each name in NEIGHBOURS.

    The context of an episode is the content of the turn before it, which links the two. A neighbour that is no
    candidate gets the row `missing`, one past the last; the neighbours of `missing` are `missing` themselves.
    """
    missing = len(found)
    row_of_turn = {(each.run_id, each.content): row for row, each in enumerate(found)}
    before, after = np.full(missing + 1, missing), np.full(missing + 1, missing)
    for row, each in enumerate(found):
        if each.kind == Kind.EPISODE and each.context:
            previous = row_of_turn.get((each.run_id, each.context), missing)
            before[row], after[previous] = previous, row
    after[missing] = missing
    return np.stack([before[before], before, after, after[after]])[:, :missing]


def _values_of_neighbours(values: Floats, neighbours: NDArray[np.intp], *, missing: float) -> Floats:
    return np.append(values, missing)[neighbours].T


def _wording(question: str, found: Sequence[RankingInput], times: NamedTimes) -> list[tuple[float, ...]]:
    return [
        (
            is_subject,
            times.share(each.created_at) if times else 0.0,
            each.content.endswith(QUESTION_MARKS),
            each.context is not None and any(mark in each.context for mark in QUESTION_MARKS),
        )
        for each, is_subject in zip(found, _subjects_of_memories(question, found), strict=True)
    ]


def _subjects(question: str, languages: Set[Language]) -> set[str]:
    """Who a question is about: the names in it, the user for `I` and the assistant for `you`."""
    subjects = {name.lower() for name in NAME.findall(question) if name not in NOT_NAMES}
    if speaks_of_user(question, languages):
        subjects.add(Role.USER)
    if speaks_to_assistant(question, languages):
        subjects.add(Role.ASSISTANT)
    return subjects


def _subjects_of_memories(question: str, found: Sequence[RankingInput]) -> list[bool]:
    """Whether each candidate is about whom the question is about."""
    languages = question_languages(question)
    subjects = _subjects(question, languages)
    own = [_subject(each) for each in found]
    if len(languages) > 1:
        subjects |= {each for each in set(own) if is_named(each, question, languages)}
    return [each in subjects for each in own]


def _subject(each: RankingInput) -> str:
    """Who speaks in an episode, or the first word of a fact; the role if there is no name."""
    speaker, _ = split_speaker(each.content)
    if speaker is None and each.kind == Kind.EPISODE:
        return each.role
    words = (speaker or each.content).split(maxsplit=1)
    first = words[0].removesuffix("'s").lower() if words else each.role
    return Role.USER if speaker is None and is_about_user(each.content, first) else first
