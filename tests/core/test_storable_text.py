import pytest

from app.core.storable_text import TextCleaner, clean_text, is_blank


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


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        ("", True),
        (" \t\r\n", True),
        ("\u00a0\u2003\u3000\u2028", True),
        ("\u200b\u200e\u2060\ufeff\u00ad", True),
        ("\u200btea", False),
        (".", False),
        ("😀", False),
        ("\u202e\u05e9", False),
    ],
)
def test_blank_text_has_no_visible_character(text: str, blank: bool) -> None:
    assert is_blank(text) is blank
