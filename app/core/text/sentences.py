# ruff: noqa: RUF001  (punctuation of other scripts is intended)
"""Split a text into sentences, in two ways (pure)."""

import re

SENTENCE_END = re.compile(r"[.!?…؟।۔]+[\"'”’»)\]]*(?=\s|$)|[。！？]+[」』”’）]*|\n+")
ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:dr|mr|mrs|ms|st|prof|sr|sra|hr|fr|nr|no|vs|etc|e\.g|i\.e|z\.b|bzw|ca|approx|\d+|[^\W\d_])\.$", re.I
)
BEFORE_CAPITAL = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[^\Wa-z])|(?<=[。！？؟।])\s*|\n+")
SHORT_FORM = re.compile(r"\b(?:dr|mr|mrs|ms|st|jr|sr|inc|ltd|co|corp|vs|prof|mt|ft|e\.g|i\.e|z\.b|[a-z])\.$", re.I)


def split_sentences(text: str) -> list[str]:
    """Split after the punctuation that ends a sentence in most scripts, and at line breaks."""
    pieces: list[str] = []
    start = 0
    for mark in SENTENCE_END.finditer(text):
        if mark.group() == "." and ABBREVIATION.search(text[start : mark.end()]):
            continue
        pieces.append(text[start : mark.end()].strip())
        start = mark.end()
    return [piece for piece in [*pieces, text[start:].strip()] if piece]


def split_before_capitals(text: str) -> list[str]:
    """Split only where what follows can begin a sentence: "at 5 p.m. on Monday" stays whole. For texts that are read
    closely, where a wrong split costs more than a missing one."""
    parts: list[str] = []
    start = 0
    for mark in BEFORE_CAPITAL.finditer(text):
        piece = text[start : mark.start()].strip()
        if piece and not (SHORT_FORM.search(piece) and "\n" not in mark.group()):
            parts.append(piece)
            start = mark.end()
    return [part for part in [*parts, text[start:].strip()] if part]
