"""Order candidates by how likely each answers the question: a calibrated probability, and its parts.

The parts add up to the logit of the score, so `explain` shows exactly what moved a memory up or down. The part
`calibration` turns the order into a probability; it changes no order.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.core.ports import MULTILINGUAL
from app.core.text.times.read_times import read_times
from app.memory.importance import ROLE_IMPORTANCE
from app.memory.ledger import Kind
from app.memory.recall.anchors import period_of_event
from app.memory.recall.calibration import COMPARED_MEMORIES, calibrate, probabilities
from app.memory.recall.features import FEATURES, Floats, RankingInput, compute_features
from app.memory.recall.rivals import COMPARED_RIVALS, rival_shifts

BASE_CORRECTION = 1.5
"""In logits, for every memory alike, so it changes no order. The weights were fitted on conversations of 600 turns, of
which one or two answer a question; an ordinary namespace has fewer competing memories, so each is likelier to."""
PARTS = ("base", "similarity", "words", "conversation", "wording", "importance", "recency", "rivals", "calibration")
WEIGHTED_PARTS = PARTS[:-1]
RIVALS = PARTS.index("rivals")
PART_OF = ("similarity", *["conversation"] * 4, "words", *["conversation"] * 4, *["wording"] * 4)
PART_MATRIX = np.array([[float(part == name) for name in WEIGHTED_PARTS[1:5]] for part in PART_OF])
"""1 where a feature (row) belongs to a part of the score (column)."""
DAY_SECONDS = 86_400.0
NEUTRAL_IMPORTANCE = 0.5
EXTRACTED = (Kind.FACT, Kind.SUMMARY)
FACT_BONUS = 0.1
"""A fact that a model chose to keep matters a little more than a verbatim turn."""


@dataclass(frozen=True, slots=True)
class KindWeights:
    """In the order of FEATURES, fitted by bench/fit_ranking.py."""

    base: float
    features: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.features) != len(FEATURES):
            raise ValueError(f"KindWeights needs {len(FEATURES)} weights, one for each of {', '.join(FEATURES)}")


EPISODE = KindWeights(
    base=-4.95,
    features=(
        5.130,  # similarity
        0.099,  # similarity of its neighbours, two before to two after
        -0.105,
        0.974,
        0.418,
        0.287,  # bm25
        0.110,  # bm25 of its neighbours
        0.039,
        0.032,
        0.080,
        1.903,  # subject
        1.727,  # time
        -0.809,  # asks
        0.431,  # answers
    ),
)
FACT = KindWeights(
    base=-4.04,
    features=(5.235, 0.0, 0.0, 0.0, 0.0, 0.380, 0.0, 0.0, 0.0, 0.0, 1.345, 2.244, 0.0, 0.173),
)


@dataclass(frozen=True, slots=True)
class RankingWeights:
    """In logits: 1 makes it about 2.7 times as likely that a memory answers the question."""

    episode: KindWeights = EPISODE
    fact: KindWeights = FACT
    importance: float = 0.5
    recency: float = 0.3
    half_life_days: float = 30.0
    candidates: int = 1
    """How many times RECALL_CANDIDATES are compared. A model that finds less by meaning alone needs more of them."""


DEFAULT_WEIGHTS = RankingWeights()
WEIGHTS_OF_MODEL = {
    MULTILINGUAL.name: RankingWeights(
        episode=KindWeights(
            base=-4.58,
            features=(
                *(3.356, -0.076, 0.312, 0.637, 0.115),  # similarity, and of its neighbours
                *(0.327, 0.130, 0.031, 0.038, 0.096),  # bm25, and of its neighbours
                *(2.024, 1.807, -1.094, 0.421),
            ),
        ),
        fact=KindWeights(
            base=-3.59,
            features=(3.597, 0.0, 0.0, 0.0, 0.0, 0.438, 0.0, 0.0, 0.0, 0.0, 1.484, 2.350, 0.0, 0.180),
        ),
        candidates=2,
    )
}
"""Fitted for another model than the default one, whose similarities are on the scale of the default one."""


def weights_of(model: str, half_life_days: float) -> RankingWeights:
    return replace(WEIGHTS_OF_MODEL.get(model, DEFAULT_WEIGHTS), half_life_days=half_life_days)


@dataclass(frozen=True, slots=True)
class Ranked:
    id: UUID
    score: float
    relevance: float
    """The logistic function of the parts without `calibration`: how well it matches, whatever else was found."""
    parts: dict[str, float] = field(default_factory=dict)
    """One value for each name in PARTS. Their sum is the logit of the score."""
    fits: bool = True
    """Whether it is returned when the client names no threshold."""
    undecided: bool = False
    """It would fit, and leaves open what the question asks."""


def rank(
    question: str,
    found: Sequence[RankingInput],
    now: dt.datetime,
    weights: RankingWeights = DEFAULT_WEIGHTS,
    limit: int | None = None,
) -> list[Ranked]:
    """Best first. Candidates with equal scores keep their order."""
    if not found:
        return []
    times = read_times(question, now).adding(period_of_event(question, found))
    parts = _score_parts(compute_features(question, found, times), found, now, weights)
    logits, best = _order(question, parts, found)
    # The scores do not depend on the limit, so the best few are always compared.
    best = best[: limit if limit is None else max(limit, COMPARED_MEMORIES)]
    calibrated = calibrate(times.rest or question, [found[row] for row in best.tolist()], logits[best], found)
    parts = np.column_stack([parts[best], calibrated.logits - logits[best]])
    scores, relevance = probabilities(np.stack([calibrated.logits, logits[best]])).tolist()
    return [
        Ranked(found[row].id, score, relevant, dict(zip(PARTS, values, strict=True)), fits, undecided)
        for row, score, relevant, values, fits, undecided in zip(
            best.tolist(), scores, relevance, parts.tolist(), calibrated.fits, calibrated.undecided, strict=True
        )
    ][:limit]


def _order(question: str, parts: Floats, found: Sequence[RankingInput]) -> tuple[Floats, NDArray[np.intp]]:
    """The logits, and the rows from the best to the worst, once rivals have been compared."""
    logits: Floats = parts.sum(axis=1)
    order = np.argsort(-logits, kind="stable")
    best = order[:COMPARED_RIVALS].tolist()
    shifts = rival_shifts(question, [found[row] for row in best], logits[best].tolist())
    if not shifts:
        return logits, order
    for place, shift in shifts.items():
        parts[best[place], RIVALS] = shift
    return parts.sum(axis=1), np.argsort(-parts.sum(axis=1), kind="stable")


def importance(each: RankingInput) -> float:
    """The memory's own importance, or a default that depends on its role and kind."""
    if each.importance is not None:
        return min(max(each.importance, 0.0), 1.0)
    return ROLE_IMPORTANCE[each.role] + (FACT_BONUS if each.kind in EXTRACTED else 0.0)


def recency(created_at: dt.datetime, now: dt.datetime, half_life_days: float) -> float:
    """1 now, a half after the half-life. A date in the future counts as now."""
    age = max((now - created_at).total_seconds() / DAY_SECONDS, 0.0)
    return float(0.5 ** (age / half_life_days))


def _score_parts(table: Floats, found: Sequence[RankingInput], now: dt.datetime, weights: RankingWeights) -> Floats:
    weights_of_kind = np.array([weights.episode.features, weights.fact.features])
    bases = np.array([weights.episode.base, weights.fact.base]) + BASE_CORRECTION
    kinds = np.array([each.kind in EXTRACTED for each in found], dtype=np.intp)
    parts = np.empty((len(found), len(WEIGHTED_PARTS)))
    parts[:, 0] = bases[kinds]
    parts[:, 1:5] = (table * weights_of_kind[kinds]) @ PART_MATRIX
    parts[:, 5] = [weights.importance * (importance(each) - NEUTRAL_IMPORTANCE) for each in found]
    parts[:, 6] = [weights.recency * recency(each.created_at, now, weights.half_life_days) for each in found]
    parts[:, RIVALS] = 0.0
    return parts
