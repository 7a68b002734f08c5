"""Order candidates by how likely each answers the question: a logistic score in 0 to 1, and every part of it.

The parts of a score add up to its logit, so `explain` shows exactly what moved a memory up or down.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from app.core.ports import Role
from app.memory.ledger.new_memory import Kind
from app.memory.recall.features import FEATURES, Floats, Found, measure

FEWER_RIVALS = 1.5
"""In logits, for every memory alike, so it changes no order. The weights come from conversations of six hundred turns,
of which one or two answer a question: what a person has told lately has fewer rivals, and is likelier than that."""
PARTS = ("base", "similarity", "words", "conversation", "wording", "importance", "recency")
PART_OF = ("similarity", *["conversation"] * 4, "words", *["conversation"] * 4, *["wording"] * 4)
SUMS = np.array([[float(part == name) for name in PARTS[1:5]] for part in PART_OF])
"""Which part of a score each feature belongs to."""
DAY = 86_400.0
ORDINARY = 0.5
ROLE_IMPORTANCE: dict[str, float] = {Role.USER: 0.5, Role.ASSISTANT: 0.4, Role.SYSTEM: 0.3}
FACT_BONUS = 0.1
"""What a model found worth keeping matters a little more than what was merely said."""


@dataclass(frozen=True, slots=True)
class KindWeights:
    """In the order of FEATURES; see bench/fit_ranking.py for where they come from."""

    base: float
    features: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.features) != len(FEATURES):
            raise ValueError(f"There must be {len(FEATURES)} weights, one for each of {', '.join(FEATURES)}")


EPISODE = KindWeights(
    base=-4.95,
    features=(
        *(5.130, 0.099, -0.105, 0.974, 0.418),  # similarity: its own, and of the turns around it
        *(0.287, 0.110, 0.039, 0.032, 0.080),  # BM25: its own, and of the turns around it
        *(1.903, 1.727),  # whom it is about, in which month it was said
        *(-0.809, 0.431),  # it asks, it follows a question
    ),
)
FACT = KindWeights(
    base=-4.04,
    features=(5.235, *(0.0,) * 4, 0.380, *(0.0,) * 4, 1.345, 2.244, 0.0, 0.173),
)


@dataclass(frozen=True, slots=True)
class RankingWeights:
    """How much each thing counts, in logits: 1 makes an answer about 2.7 times as likely."""

    episode: KindWeights = EPISODE
    fact: KindWeights = FACT
    importance: float = 0.5
    recency: float = 0.3
    half_life_days: float = 30.0


DEFAULT_WEIGHTS = RankingWeights()


@dataclass(frozen=True, slots=True)
class Ranked:
    id: UUID
    score: float
    parts: dict[str, float] = field(default_factory=dict)
    """By name of PARTS. Their sum is the logit of the score."""


def rank(
    question: str,
    found: Sequence[Found],
    now: dt.datetime,
    weights: RankingWeights = DEFAULT_WEIGHTS,
    limit: int | None = None,
) -> list[Ranked]:
    """The best first; what scores the same stays in the order given."""
    if not found:
        return []
    parts = _parts(measure(question, found), found, now, weights)
    scores = _logistic(parts.sum(axis=1))
    best = np.argsort(-scores, kind="stable")[:limit]
    return [
        Ranked(found[place].id, float(scores[place]), dict(zip(PARTS, parts[place].tolist(), strict=True)))
        for place in best.tolist()
    ]


def importance(each: Found) -> float:
    """As given, or else by who said it and whether it was worth extracting."""
    if each.importance is not None:
        return min(max(each.importance, 0.0), 1.0)
    return ROLE_IMPORTANCE[each.role] + (FACT_BONUS if each.kind == Kind.FACT else 0.0)


def recency(created_at: dt.datetime, now: dt.datetime, half_life_days: float) -> float:
    """1 now, a half after the half-life; what is dated in the future counts as now."""
    age = max((now - created_at).total_seconds() / DAY, 0.0)
    return float(0.5 ** (age / half_life_days))


def _parts(table: Floats, found: Sequence[Found], now: dt.datetime, weights: RankingWeights) -> Floats:
    facts = [each.kind == Kind.FACT for each in found]
    both = np.array([weights.episode.features, weights.fact.features])
    bases = np.array([weights.episode.base, weights.fact.base]) + FEWER_RIVALS
    kinds = np.array(facts, dtype=np.intp)
    parts = np.empty((len(found), len(PARTS)))
    parts[:, 0] = bases[kinds]
    parts[:, 1:5] = (table * both[kinds]) @ SUMS
    parts[:, 5] = [weights.importance * (importance(each) - ORDINARY) for each in found]
    parts[:, 6] = [weights.recency * recency(each.created_at, now, weights.half_life_days) for each in found]
    return parts


def _logistic(logits: Floats) -> Floats:
    # Beyond 500 the exponential overflows, long after the score has become 0 or 1.
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0))))
