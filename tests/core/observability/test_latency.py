import pytest

from app.core.observability.latency import BUCKETS, add_histograms, bucket_of, percentile_ms


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentiles_are_within_a_bucket_of_the_truth(share: float) -> None:
    seconds = [index / 1000 for index in range(1, 1001)]
    histogram = [0] * BUCKETS
    for each in seconds:
        histogram[bucket_of(each)] += 1
    found = percentile_ms(histogram, share)
    assert found == pytest.approx(share * 1000, rel=0.2)


def test_percentile_of_nothing_is_absent() -> None:
    assert percentile_ms([], 0.5) is None
    assert percentile_ms([0] * BUCKETS, 0.5) is None


def test_very_long_requests_count_in_the_last_bucket() -> None:
    assert bucket_of(1e6) == BUCKETS - 1
    histogram = [0] * BUCKETS
    histogram[-1] = 1
    assert (percentile_ms(histogram, 0.5) or 0) > 60_000


def test_histograms_of_other_lengths_are_added() -> None:
    assert add_histograms([[], [1, 2], [3]])[:3] == [4, 2, 0]
