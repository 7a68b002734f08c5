"""The score of a message: how similar it is to the query, how important, and how recent."""

from dataclasses import dataclass

WORDS_WEIGHT = 0.5
"""The similarity of a message that contains all words of the query and whose meaning is unknown or unrelated."""


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    similarity: float = 0.6
    importance: float = 0.3
    recency: float = 0.1

    def normalized(self) -> "ScoreWeights":
        """With a sum of 1, so that a score is between 0 and 1."""
        total = self.similarity + self.importance + self.recency
        return ScoreWeights(self.similarity / total, self.importance / total, self.recency / total)


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """Each between 0 and 1."""

    similarity: float
    importance: float
    recency: float

    def score(self, weights: ScoreWeights) -> float:
        return (
            weights.similarity * self.similarity + weights.importance * self.importance + weights.recency * self.recency
        )


def combine_similarity(cosine: float | None, share_of_words: float) -> float:
    """Grows with both, so that a message never ranks lower once its meaning is known, too."""
    meaning = min(max(cosine or 0.0, 0.0), 1.0)
    return 1 - (1 - meaning) * (1 - WORDS_WEIGHT * share_of_words)
