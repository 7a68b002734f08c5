# ruff: noqa: RUF001  (letters of other scripts are intended)
"""Which memories a request to forget means: those that state the thing, with their copies and paraphrases (pure).

A memory is judged by the share of the request's words that it has, and by its similarity to the request above the one
that other memories have, which depends on the embedding model and on the language.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.ports import Vector
from app.core.text.content_words import content_words, coverage, is_same_word
from app.core.text.forget_requests import Extent, ForgetRequest

Floats = NDArray[np.float64]
ACCEPTED = 0.65
ACCEPTED_OF_TOPIC = 0.45
NEAR_BEST, NEAR_BEST_OF_TOPIC = 0.68, 0.4
"""Of the best score."""
WORDS, ALL_WORDS = 0.3, 0.25
WITHOUT_NAME, WITHOUT_VALUE, OF_ANOTHER_PERSON, ANOTHER_OBJECT = 0.4, 0.4, 0.15, 0.12
OWN = re.compile(r"^(?:\w+ )?i(?:'m|'ve)? ", re.IGNORECASE)
OF_ANOTHER = re.compile(r"^(?:my|our) \w+(?: [A-Z]\w+)? (?!is|are)\w+", re.IGNORECASE)
"""A request about what I do does not mean what my mother does."""
CLAUSE_LIFT = 0.27
"""The least lift of a memory that shares only words with a clause: "I have a dog", "Lea is afraid of dogs"."""
COPY, SHARED_WORDS = 0.8, 0.5
"""The similarity of two memories that state the same thing, and the share of their words that they have in common."""
TYPICAL_SIMILARITY, FEWEST_FOR_MEDIAN = 0.2, 5
MANY, LOW_QUANTILE = 100, 0.1
BLIND_SIMILARITY = 0.6
"""Where unrelated memories are this similar, the embedding model does not know the language, and only words count."""
ASKS_FOR_VALUE = re.compile(
    r"^(?:where|who|whom|which|what|when|how (?:much|many|old|tall)|wo|wer|wann|dónde|quién|где|кто)\b", re.IGNORECASE
)
ASKED_KIND = re.compile(r"^(?:which|what|welche[rsnm]?|qué|какой|какую)\s+(\w+)\s+\S", re.IGNORECASE)
CLAUSE = re.compile(r"^(?:i|we|ich|wir|я|мы|मैं|मुझे|أنا)\b|\b(?:is|are|was|were)\b", re.IGNORECASE)
VALUE = re.compile(r"(?<=[\s(\"'])[^\W\d_a-zß-öø-ÿа-я][\w'-]+|\d")
"""A name or a number, which answers a question."""
NEEDED = (
    (ASKS_FOR_VALUE, VALUE),
    (re.compile(r"\b(?:called|names?)\b", re.IGNORECASE), re.compile(r"\b(?:called|names?)\b|\b(?:is|are) [A-Z]")),
)
"""What a memory has that answers a question for a value, or for a name."""
SENTENCE_END = re.compile(r"(?<=[.!?…؟])\s+|(?<=[。！？।])|\n+")
NAME = re.compile(r"(?:(?<=\s)|^)([A-ZÀ-ÞА-Я][^\W\d_]+)")


@dataclass(frozen=True, slots=True)
class CandidateStatement:
    """A memory as the decision sees it."""

    text: str
    similarity: float
    """To the request."""
    vector: Vector


def choose_meant(request: ForgetRequest, statements: Sequence[CandidateStatement]) -> list[list[int]]:
    """The places of the statements that are meant, best first; those that say the same are one group."""
    if not statements:
        return []
    return _choose(request, _scores(request.what, statements), _say_the_same(statements))


def choose_meant_by_words(request: ForgetRequest, texts: Sequence[str]) -> list[list[int]]:
    """The same without vectors: only memories in the same words are copies."""
    if not texts:
        return []
    words = [frozenset(content_words(text)) for text in texts]
    same = np.array([[one == other for other in words] for one in words])
    return _choose(request, _shares(request.what, texts), same)


def _choose(request: ForgetRequest, scores: Floats, same: NDArray[Any]) -> list[list[int]]:
    is_topic = request.extent is Extent.TOPIC
    accepted, near = (ACCEPTED_OF_TOPIC, NEAR_BEST_OF_TOPIC) if is_topic else (ACCEPTED, NEAR_BEST)
    meant = scores >= max(accepted, near * float(scores.max()))
    meant |= same[:, meant].any(axis=1)
    groups: list[list[int]] = []
    for place in sorted(np.flatnonzero(meant).tolist(), key=lambda place: -scores[place]):
        group = next((each for each in groups if same[each[0], place]), None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    return groups


def _scores(what: str, statements: Sequence[CandidateStatement]) -> Floats:
    similarity = np.array([each.similarity for each in statements])
    typical = _typical(similarity)
    is_blind = typical >= BLIND_SIMILARITY
    lift = np.zeros(len(statements)) if is_blind else (similarity - typical) / (1 - typical)
    shares = _shares(what, [each.text for each in statements])
    if is_blind:
        return shares
    scores: Floats = lift + WORDS * shares + ALL_WORDS * (shares >= 1) - _penalties(what, statements, lift, shares)
    return scores


def _shares(what: str, texts: Sequence[str]) -> Floats:
    wanted = _wanted_words(what)
    return np.array([_best_share(wanted, text) for text in texts])


def _best_share(wanted: list[str], text: str) -> float:
    """Of the sentences: a long text has most words somewhere."""
    return max(coverage(wanted, content_words(sentence)) for sentence in SENTENCE_END.split(text))


def _typical(similarity: Floats) -> float:
    """The similarity of unrelated memories. Of many memories, only the most similar ones are candidates."""
    if len(similarity) < FEWEST_FOR_MEDIAN:
        return TYPICAL_SIMILARITY
    return float(np.quantile(similarity, LOW_QUANTILE if len(similarity) >= MANY else 0.5))


def _wanted_words(what: str) -> list[str]:
    """Without the kind of the value that a question asks for: "which car I drive" is about what I drive."""
    words = content_words(what)
    if kind := ASKED_KIND.match(what):
        return [word for word in words if word != kind[1].lower()] or words
    return words


def _penalties(what: str, statements: Sequence[CandidateStatement], lift: Floats, shares: Floats) -> Floats:
    names = [name.lower() for name in NAME.findall(what) if content_words(name)]
    needed = [pattern for asks, pattern in NEEDED if asks.search(what)]
    is_clause, is_own = CLAUSE.search(what) is not None, OWN.match(what) is not None
    penalties = np.zeros(len(statements))
    for place, each in enumerate(statements):
        words = content_words(each.text) if names else []
        penalties[place] += WITHOUT_NAME * any(not any(is_same_word(name, word) for word in words) for name in names)
        penalties[place] += WITHOUT_VALUE * any(not pattern.search(each.text) for pattern in needed)
        penalties[place] += OF_ANOTHER_PERSON * (is_own and OF_ANOTHER.match(each.text) is not None)
    if is_clause:
        penalties += ALL_WORDS * ((shares >= 1) & (lift < CLAUSE_LIFT))
        penalties += ANOTHER_OBJECT * ((shares > 0) & (shares < 1))
    return penalties


def _say_the_same(statements: Sequence[CandidateStatement]) -> NDArray[Any]:
    """For each pair: similar, and mostly in the same words, so that "I like tea" is no copy of "I like coffee"."""
    vectors = np.array([each.vector for each in statements])
    similar = vectors @ vectors.T >= COPY
    words = [content_words(each.text) for each in statements]
    for one, other in np.argwhere(similar).tolist():
        shared = min(coverage(words[one], words[other]), coverage(words[other], words[one]))
        similar[one, other] = one == other or shared >= SHARED_WORDS
    return np.asarray(similar)
