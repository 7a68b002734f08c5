import pytest

from app.memory.messages import ScoreParts, ScoreWeights
from app.memory.messages.ranking import combine_similarity


@pytest.mark.parametrize(
    ("cosine", "share", "expected"),
    [
        (None, 0.0, 0.0),
        (None, 1.0, 0.5),
        (0.0, 1.0, 0.5),
        (0.6, 0.0, 0.6),
        (0.6, 1.0, 0.8),
        (1.0, 0.0, 1.0),
        (-0.3, 0.5, 0.25),
    ],
)
def test_similarity_grows_with_meaning_and_words(cosine: float | None, share: float, expected: float) -> None:
    assert combine_similarity(cosine, share) == pytest.approx(expected)


def test_score_is_the_weighted_sum_of_its_parts() -> None:
    parts = ScoreParts(similarity=0.5, importance=1.0, recency=0.2)
    assert parts.score(ScoreWeights()) == pytest.approx(0.6 * 0.5 + 0.3 * 1.0 + 0.1 * 0.2)
    assert parts.score(ScoreWeights(2, 0, 0).normalized()) == pytest.approx(0.5)
    assert parts.score(ScoreWeights(1, 1, 2).normalized()) == pytest.approx((0.5 + 1.0 + 0.4) / 4)
