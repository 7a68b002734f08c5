# ruff: noqa: RUF001  (punctuation of other scripts is intended)
"""The words of a text as they are compared: without case and without the punctuation around them (pure)."""

import re
import unicodedata

BEFORE = "\"'“”‘«»„([{¡¿「『"
AFTER = "\"'“”’«»)]},;:.!…。，、！；：؛،।」』"
QUESTIONS = "?？؟"
DASHES = re.compile(r"[-–—.…]+")
IDEOGRAPHS = re.compile("[\u3400-\u9fff]")


def plain_text(text: str) -> str:
    """One spelling of apostrophes and of letters that have several."""
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'").replace("\u2018", "'").strip()


def tokens_of(plain: str) -> list[str]:
    """Signs that belong to a word stay: `C++`, `$5`, `-3`, `10:30`. A question keeps its mark."""
    if IDEOGRAPHS.search(plain):
        plain = re.sub(r"[，、；：]", " ", plain)
    return [token for word in plain.casefold().split() for token in _tokens(word)]


def _tokens(word: str) -> list[str]:
    bare = word.lstrip(BEFORE).rstrip(AFTER)
    if bare and bare[-1] in QUESTIONS:
        bare = bare.rstrip(AFTER + QUESTIONS)
        return [bare, "?"] if bare else ["?"]
    if not bare:
        return [] if len(word) == 1 else [word]
    return [] if DASHES.fullmatch(bare) else [bare]
