"""Turn the order of a search into probabilities, and decide whether anything fits the question at all.

The weights are fitted by logistic regression on questions with and without an answer: docs/decisions/0039 and
bench/fit_calibration.py.
"""

import math
import re
from collections.abc import Sequence, Set
from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.text.languages import Language
from app.core.text.persons import FIRST_PERSON
from app.memory.indexing import split_speaker
from app.memory.recall.features import NOT_NAMES, Floats, RankingInput
from app.memory.recall.features import WORD as WORD_PATTERN
from app.memory.recall.undecided import asks_about_choice, leaves_open

ANSWERABLE_PROBABILITY = 0.2
"""Below this probability that any candidate fits, the question is not answerable from the memories."""
ANSWERABLE_LOGIT = math.log(ANSWERABLE_PROBABILITY / (1 - ANSWERABLE_PROBABILITY))
MIN_SIMILARITY = 0.2
"""A best memory that shares no word with the question must be this similar to it."""
CLEARLY_SIMILAR = 0.32
"""A best memory this similar fits even if it says everything in other words than the question."""
WEAKEST = -2.2
WEAKEST_IN_ENGLISH = -2.0
"""In logits of the ranking: what ranks lower has next to nothing in common with the question."""
MAX_GAP, CLEARLY_RELATED = 3.0, 0.5
"""A memory this much weaker than the best one fits only if it is clearly related to the question by itself."""
COMPARED_MEMORIES, COMPARED_CHARACTERS, CONTEXT_CHARACTERS = 5, 600, 1000
NAMING_MEMORIES = 3
MIN_WORD, STEM = 3, 5
MIN_FOREIGN_WORDS = 5
PUNCTUATION = re.compile("[\u2010-\u2026]")
PERSON = re.compile(r"(?<![.!?:] )(?<!^)\b[A-Z][a-z]{2,}\b")
GRAMMAR_WORDS = (
    "a about am an and any all also are at be been being between but by can could did do does done down ever for"
    " from get got had has have having he her hers him his how i in into is it its just know many may me might mine"
    " more most much must my never not of off on only our ours out over shall she should some tell than that the"
    " their them then there these they this those to under us very was we were what when where which who whom whose"
    " why will with would you your yours"
)
"""English words that say nothing about the subject of a question."""
WORDS_OF_OTHER_LANGUAGES = "a all also am an any at can do he her i in me on out so us was we"
GRAMMAR = frozenset(GRAMMAR_WORDS.split())
ENGLISH = GRAMMAR - frozenset(WORDS_OF_OTHER_LANGUAGES.split())


class ListFeatures(NamedTuple):
    """What tells whether any candidate fits, or the weight of each in the logit of that probability."""

    base: float
    coverage: float
    """The largest share of the question's words that one memory contains."""
    coverage_with_context: float
    """The same for the best memory, with the message before it."""
    similarity: float
    words: float
    missing_person: float
    """The question names a person whom none of the best memories names."""
    keywords: float
    """The best keyword score of all candidates, for each word of the question: rare words count more."""


class MemoryWeights(NamedTuple):
    """For the logit of the probability that one memory fits, in the order of `memory_features`."""

    base: float
    logit: float
    gap: float
    answerable: float
    candidates: float


LIST_WEIGHTS = ListFeatures(
    base=-4.89,
    coverage=2.403,
    coverage_with_context=1.825,
    similarity=4.724,
    words=1.71,
    missing_person=-4.858,
    keywords=-0.823,
)
MEMORY_WEIGHTS = MemoryWeights(base=0.629, logit=0.479, gap=-0.935, answerable=0.308, candidates=-0.875)


class Calibrated(NamedTuple):
    logits: Floats
    """Of the probability that each memory fits, in the order given."""
    fits: list[bool]
    """Whether each is returned when the client names no threshold."""
    undecided: list[bool]
    """Whether each would fit if it did not leave open what the question asks."""


def calibrate(
    question: str, ranked: Sequence[RankingInput], logits: Floats, candidates: Sequence[RankingInput]
) -> Calibrated:
    """`ranked` are the best of the candidates, best first, with the logits of the ranking."""
    english = is_english(question)
    list_logit = _list_logit(list_features(question, ranked, best_keyword_score(candidates)))
    if not english:
        # Neither words nor similarity tell enough across languages, so they cannot make a question unanswerable.
        list_logit = max(list_logit, 0.0)
    memory_logits = memory_features(logits, list_logit, len(candidates)) @ np.array(MEMORY_WEIGHTS)
    near = _near_enough(logits, list_logit, english=english)
    undecided = _undecided(question, ranked, near) if english else [False] * len(near)
    fits = [one and not is_open for one, is_open in zip(near, undecided, strict=True)]
    return Calibrated(memory_logits, fits, undecided)


def memory_features(logits: Floats, list_logit: float, candidates: int) -> Floats:
    """A row for each memory: 1, its logit, how much weaker than the best it is, and two numbers of the whole list."""
    table = np.empty((len(logits), len(MemoryWeights._fields)))
    table[:, 0] = 1.0
    table[:, 1] = logits
    table[:, 2] = logits[0] - logits
    table[:, 3] = list_logit
    table[:, 4] = math.log(candidates)
    return table


def _near_enough(logits: Floats, list_logit: float, *, english: bool) -> list[bool]:
    near: NDArray[np.bool_] = logits >= (WEAKEST_IN_ENGLISH if english else WEAKEST)
    if english:
        near &= (logits[0] - logits <= MAX_GAP) | (logits >= CLEARLY_RELATED)
        near &= list_logit >= ANSWERABLE_LOGIT
    answer: list[bool] = near.tolist()
    return answer


def _undecided(question: str, ranked: Sequence[RankingInput], near: Sequence[bool]) -> list[bool]:
    undecided = [one and leaves_open(each.content) for each, one in zip(ranked, near, strict=True)]
    return undecided if any(undecided) and not asks_about_choice(question) else [False] * len(near)


def _list_logit(features: ListFeatures) -> float:
    if features.coverage == 0 and features.similarity < MIN_SIMILARITY:
        return LIST_WEIGHTS.base
    logit: float = sum(map(mul, LIST_WEIGHTS, features))
    clear = features.similarity >= CLEARLY_SIMILAR and not features.missing_person
    return max(logit, ANSWERABLE_LOGIT) if clear else logit


def best_keyword_score(candidates: Sequence[RankingInput]) -> float:
    return max(each.bm25 or 0.0 for each in candidates)


def list_features(question: str, ranked: Sequence[RankingInput], keyword_score: float) -> ListFeatures:
    best, stems = ranked[0], _stems(question)
    texts = [_plain(each.content[:COMPARED_CHARACTERS]) for each in ranked[:COMPARED_MEMORIES]]
    with_context = _plain(f"{best.context or ''} {best.content}"[:CONTEXT_CHARACTERS])
    return ListFeatures(
        base=1.0,
        coverage=max(_coverage(stems, text) for text in texts),
        coverage_with_context=_coverage(stems, with_context),
        similarity=best.similarity or 0.0,
        words=math.log1p(len(stems)),
        missing_person=float(_misses_person(question, ranked[:NAMING_MEMORIES])),
        keywords=keyword_score / (1 + len(stems)),
    )


def _stems(question: str) -> set[str]:
    """The beginnings of its words of meaning: `ReactJS` meets `React`, and `hiking` meets `hike`."""
    words = WORD_PATTERN.findall(question.lower())
    return {word[:STEM] for word in words if len(word) >= MIN_WORD and word not in GRAMMAR}


def _plain(text: str) -> str:
    """Every word after a space, so that the beginning of a word is found by a substring search."""
    return f" {' '.join(WORD_PATTERN.findall(text.lower()))}"


def _coverage(stems: Set[str], text: str) -> float:
    """1 for a question without words of meaning: nothing of it is missing."""
    return sum(f" {stem}" in text for stem in stems) / len(stems) if stems else 1.0


def _misses_person(question: str, best: Sequence[RankingInput]) -> bool:
    """Whether no memory can be about a person in the question. `I am …` is about the user, whatever the name is."""
    names = {name.lower()[:STEM] for name in PERSON.findall(question) if name not in NOT_NAMES}
    return bool(names) and not any(_may_be_about(names, each.content[:COMPARED_CHARACTERS]) for each in best)


def _may_be_about(names: Set[str], content: str) -> bool:
    text = _plain(content)
    speaks_for_itself = split_speaker(content)[0] is None and not FIRST_PERSON[Language.ENGLISH].isdisjoint(
        text.split()
    )
    return speaks_for_itself or any(f" {name}" in text for name in names)


def is_english(question: str) -> bool:
    """Without other letters, and short or with a word that only English has. A few keywords count as English."""
    if not PUNCTUATION.sub("", question).isascii():
        return False
    words = WORD_PATTERN.findall(question.lower())
    return len(words) < MIN_FOREIGN_WORDS or not ENGLISH.isdisjoint(words)


def probabilities(logits: Floats) -> Floats:
    # Clipped, because beyond 500 the exponential overflows while the probability has long been 0 or 1.
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0))))
