import pytest

from app.core.storable_text import TextCleaner, clean_text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("Grüße 😀", "Grüße 😀"),
        ("a\0b\0", "ab"),
        ("\0", ""),
        ("half \ud83d", "half \ufffd"),
        ("\ude00 half", "\ufffd half"),
        ("\ud83dx", "\ufffdx"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\0\ude00", "😀"),
        ("\ufeffmark", "\ufeffmark"),
    ],
)
def test_clean_text_removes_what_postgres_refuses(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    ("pieces", "cleaned"),
    [
        (["Hi ", "\ud83d", "\ude00", "!"], ["Hi ", "", "😀", "!", ""]),
        (["Hi \ud83d", "\0", "\ude00!"], ["Hi ", "", "😀!", ""]),
        (["\ud83d", " no"], ["", "\ufffd no", ""]),
        (["\ude00", "\ud83d"], ["\ufffd", "", "\ufffd"]),
        (["", "\0"], ["", "", ""]),
    ],
)
def test_text_cleaner_joins_a_pair_that_is_split_over_two_pieces(pieces: list[str], cleaned: list[str]) -> None:
    cleaner = TextCleaner()
    assert [*map(cleaner.feed, pieces), cleaner.finish()] == cleaned
