# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""What to leave out, named by words alone: "salary, phone number" (pure)."""

import re

from app.core.text.content_words import content_words, coverage

SEPARATOR = re.compile(r"[,;\n،、，]|\s(?:and|or|und|oder|y|o|et|ou|e|ve|veya|и|или|و|أو|और|या)\s")
MAX_WORDS = 3
"""Of one term. A longer one is an instruction, which only a language model can follow."""


def read_terms(excludes: str | None) -> list[list[str]] | None:
    """The words of each term; None if the text is more than a list of words."""
    terms = [term.strip(" .!\"'") for term in SEPARATOR.split(excludes or "")]
    if any(len(term.split()) > MAX_WORDS for term in terms):
        return None
    return [words for term in terms if (words := content_words(term))]


def contains_term(sentence: str, terms: list[list[str]]) -> bool:
    """Whether all words of a term occur, each in some form."""
    words = content_words(sentence) if terms else []
    return any(coverage(term, words) == 1.0 for term in terms)
