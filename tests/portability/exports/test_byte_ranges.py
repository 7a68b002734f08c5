import pytest

from app.portability.exports.byte_ranges import ByteRange, RangeNotSatisfiable, choose_range

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("wanted", "if_range", "part"),
    [
        (None, None, None),
        ("bytes=0-", None, (0, 100)),
        ("bytes=0-0", None, (0, 1)),
        ("bytes=10-19", None, (10, 20)),
        ("bytes=90-500", None, (90, 100)),
        ("BYTES= 99-", None, (99, 100)),
        ("bytes=-10", None, (90, 100)),
        ("bytes=-500", None, (0, 100)),
        ("bytes=10-", ETAG, (10, 100)),
        ("bytes=10-", '"other"', None),
        ("bytes=10-", "Sun, 29 Nov 2026 12:00:00 GMT", None),
        ("bytes=10-", f"W/{ETAG}", None),
        ("bytes=20-10", None, None),
        ("bytes=1-2,5-6", None, None),
        ("bytes=a-", None, None),
        ("bytes=-", None, None),
        ("lines=1-2", None, None),
        ("bytes=9999999999999999999999-", None, None),
    ],
)
def test_range_is_the_part_that_the_request_asks_for(
    wanted: str | None, if_range: str | None, part: tuple[int, int] | None
) -> None:
    chosen = choose_range(100, wanted, if_range, ETAG)
    assert chosen == (ByteRange(*part) if part else None)


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_range_after_the_end_is_refused_with_the_size(wanted: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        choose_range(100, wanted, None, ETAG)
    assert refused.value.headers == {"Content-Range": "bytes */100"}
