"""Two ways to split a text: after every end of a sentence, and only where what follows can begin one."""

import pytest

from app.core.text.sentences import split_before_capitals, split_sentences


@pytest.mark.parametrize(
    ("text", "all_ends", "before_capitals"),
    [
        ("I like tea. My cat, too!", ["I like tea.", "My cat, too!"], ["I like tea.", "My cat, too!"]),
        ("we met at 5 p.m. on Monday", ["we met at 5 p.m.", "on Monday"], ["we met at 5 p.m. on Monday"]),
        ("i like tea. my cat, too", ["i like tea.", "my cat, too"], ["i like tea. my cat, too"]),
        ("Acme Inc. Berlin hired me", ["Acme Inc.", "Berlin hired me"], ["Acme Inc. Berlin hired me"]),
        ("one\ntwo", ["one", "two"], ["one", "two"]),
        ("我喜欢茶。他不喜欢。", ["我喜欢茶。", "他不喜欢。"], ["我喜欢茶。", "他不喜欢。"]),
    ],
    ids=["sentences", "short form", "lower case", "company", "lines", "chinese"],
)
def test_text_is_split_in_two_ways(text: str, all_ends: list[str], before_capitals: list[str]) -> None:
    assert split_sentences(text) == all_ends
    assert split_before_capitals(text) == before_capitals
