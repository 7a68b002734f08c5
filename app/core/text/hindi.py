"""Stems of Hindi words, for which the library of the index has no stemmer (pure).

The endings are those of Ramanathan and Rao, "A Lightweight Stemmer for Hindi" (2003).
"""

import re

from app.core.text.folding import fold

VIRAMA = "\N{DEVANAGARI SIGN VIRAMA}"
JOINER = "\N{MODIFIER LETTER APOSTROPHE}"
"""Stands for the virama, which a tokenizer takes for the end of a word."""
ENDINGS = (
    "ाएंगी ाएंगे ाऊंगी ाऊंगा ाइयाँ ाइयों ाइयां",
    "ाएगी ाएगा ाओगी ाओगे एंगी ेंगी एंगे ेंगे ूंगी ूंगा ातीं नाओं नाएं ताओं ताएं ियाँ ियों ियां",
    "ाकर ाइए ाईं ाया ेगी ेगा ोगी ोगे ाने ाना ाते ाती ाता तीं ाओं ाएं ुओं ुएं ुआं",
    "कर ाओ िए ाई ाए ने नी ना ते ीं ती ता ाँ ां ों ें",
    "ो े ू ु ी ि ा",
)
LETTER = "[\u0900-\u0963\u0970-\u097f]"
# The leftmost match is the longest ending. At least two letters stay.
ENDING = re.compile(
    rf"(?<={LETTER}{LETTER})(?:{'|'.join(ending for group in ENDINGS for ending in group.split())})(?!{LETTER})"
)


def stem_hindi(text: str) -> str:
    """The folded text with each Hindi word replaced by its stem."""
    return ENDING.sub("", fold(text)).replace(VIRAMA, JOINER)
