"""One spelling of a text for comparison: lower case, without accents, vowel marks and typographic variants (pure)."""

import re
import unicodedata

# Not the signs of Devanagari and Thai: those are letters. The marks are of Latin, Greek, Cyrillic, Hebrew and Arabic,
# with Arabic's lengthening line; Hindi writes its dot below optionally.
MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u093c]+")
DOTLESS_I = "\N{LATIN SMALL LETTER DOTLESS I}"


def fold(text: str) -> str:
    """Of the same length if the text is ASCII."""
    lower = text.lower()
    if lower.isascii():
        return lower
    return MARKS.sub("", unicodedata.normalize("NFKD", lower)).replace(DOTLESS_I, "i")
