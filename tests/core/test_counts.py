from app.core.counts import count_of


def test_noun_agrees_with_its_count() -> None:
    assert [count_of(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [count_of(count, "memory", "memories") for count in (1, 2)] == ["1 memory", "2 memories"]
