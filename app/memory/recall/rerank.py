"""Order the best memories again by a finer score: the question is compared with each sentence, not with the whole.

A long memory is found by the average of all that it says. Here only its sentences nearest to the question count.
"""

import heapq
import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from operator import mul

import structlog

from app.core.errors import AppError
from app.core.ports import Vector
from app.core.resources import Resources
from app.core.text.content_words import content_words, coverage
from app.core.text.sentences import split_before_capitals
from app.memory.recall.search import Question, Recalled

log = structlog.get_logger()
POOL = 20
"""How many of the best memories are compared."""
MAX_SENTENCES = 6
"""Of one memory: those with most words of the question."""
MAX_CHARACTERS = 600
COUNTED_SENTENCES = 3
WEIGHT = 4.0
"""In logits, for each unit of similarity. Fitted on development data: docs/decisions/0051."""
LIMIT = 1e-6


@dataclass(frozen=True, slots=True)
class Compared:
    recalled: Recalled
    closeness: float


def pool_size(top_k: int) -> int:
    return max(top_k, POOL)


async def rerank(
    resources: Resources, question: Question, vector: Awaitable[Vector], found: Sequence[Recalled]
) -> list[Recalled]:
    """Only the best `POOL` are compared. The others keep their places behind them, and all do if the embedder fails."""
    if len(found) < 2:
        return list(found)
    best, others = found[:POOL], found[POOL:]
    words = content_words(question.text)
    chosen = [choose_sentences(each.memory.content, words) for each in best]
    texts = [sentence for sentences in chosen for sentence in sentences]
    try:
        embedded = iter(await resources.embedder.embed(texts, tenant=question.project_id))
        asked = await vector
    except (AppError, OSError) as error:
        log.warning("recall.not_reranked", exc_info=error)
        return list(found)
    compared = [
        Compared(each, closeness([_similarity(asked, next(embedded)) for _ in sentences]))
        for each, sentences in zip(best, chosen, strict=True)
    ]
    return [*order_again(compared), *others]


def choose_sentences(text: str, words: Sequence[str]) -> list[str]:
    """In the order of the text, so that equal ones keep the first."""
    sentences = [sentence[:MAX_CHARACTERS] for sentence in split_before_capitals(text)] or [text[:MAX_CHARACTERS]]
    if len(sentences) <= MAX_SENTENCES:
        return sentences
    return heapq.nlargest(MAX_SENTENCES, sentences, key=lambda each: coverage(list(words), content_words(each)))


def closeness(similarities: Sequence[float]) -> float:
    nearest = heapq.nlargest(COUNTED_SENTENCES, similarities)
    return sum(nearest) / len(nearest)


def order_again(compared: Sequence[Compared]) -> list[Recalled]:
    """Each score moves by how much closer the memory is than the average of them, and says so in its parts."""
    average = sum(each.closeness for each in compared) / len(compared)
    moved = [_move(each.recalled, WEIGHT * (each.closeness - average)) for each in compared]
    return sorted(moved, key=lambda each: -each.score)


def _move(recalled: Recalled, logits: float) -> Recalled:
    probability = min(1 - LIMIT, max(LIMIT, recalled.score))
    score = 1 / (1 + math.exp(-(math.log(probability / (1 - probability)) + logits)))
    return replace(recalled, score=score, parts={**recalled.parts, "sentences": logits})


def _similarity(one: Vector, other: Vector) -> float:
    return float(sum(map(mul, one, other)))
