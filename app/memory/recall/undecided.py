"""Memories that leave a choice open: they name options, or say that nothing is decided, and do not say what was chosen.

Such a memory shares most of its words with a question about the outcome, and has no answer to it. Rules for English,
like those that decide whether anything fits: docs/decisions/0062.
"""

import re

from app.core.text.content_words import words
from app.core.text.sentences import split_sentences
from app.memory.indexing import split_speaker

MAX_CHARACTERS = 240
"""A longer text tells more than that a choice is open."""
MAX_WORDS_BEFORE = 8
"""Before the words that weigh the options: `My wife and I are still`. More of them are a statement of their own."""
SIGNS = words(
    "debating evaluating weighing considering deliberating pondering contemplating comparing deciding choosing decide",
    "choose wondering discussing thinking mulling unsure uncertain sure certain torn wavering hesitating undecided tbd",
    "decided determined chosen settled air fence question mind",
)
"""A text without any of these words need not be read closely: most searches find no such memory."""
WORD = re.compile(r"\w+")
LABEL = re.compile(r"^[\w ]{1,40}: ")
"""Of notes: `pricing: to be decided`."""
TO_ACT = r"(?:whether|if|which(?: \w+)?)(?: or not)? (?:to|(?:i|we|he|she|they|it) should)\b"
OPTIONS = r"[^;]*?\b(?:vs|versus|against|between|or)\b"
CANNOT = r"(?:can't|cannot|couldn't|(?:trying|need|have|yet) to)"
WEIGHS = re.compile(
    rf"\b(?:(?:debating|evaluating|weighing|considering|deliberating|pondering|contemplating) (?:{TO_ACT}|{OPTIONS})"
    rf"|comparing {OPTIONS}"
    rf"|(?:deciding|choosing|{CANNOT} (?:decide|choose)) (?:{TO_ACT}|between|among|on|whether|which)\b"
    rf"|(?:wondering|discussing|thinking about|mulling over|unsure|uncertain|not sure|not certain) {TO_ACT}"
    r"|(?:torn|wavering|hesitating) between\b)",
    re.I,
)
OPEN = re.compile(
    r"\b(?:undecided|tbd|(?:yet )?to be (?:decided|determined|chosen)|up in the air|on the fence|an open question)\b"
    r"|(?:\bnot|\bnothing|n't)(?: (?:yet|been|is|was|has|have|really))* (?:decided|made up|settled on|chosen)\b",
    re.I,
)
CHOSEN = re.compile(
    r"\b(?:decided|chose|chosen|picked|opted|settled|concluded|went with|going with|switched|replaced|ended up"
    r"|in the end|finally|eventually)\b",
    re.I,
)
ANOTHER_CLAUSE = re.compile(
    r"[;?]|, ?(?:and|but|so|since|because|although|though|while|when|can|could|would|do|what|how|please|i|i'm|we|he|she"
    r"|they|it|my|our)\b",
    re.I,
)
ASKS_ABOUT_THE_CHOICE = re.compile(
    r"\b(?:debat|evaluat|weigh|consider|compar|deliberat|ponder|contemplat|decid|decision|undecided|choos|choice|option"
    r"|alternative|dilemma|hesitat|torn\b|unsure|uncertain|on the fence|thinking (?:about|of)|pros and cons"
    r"|trade-?offs?|open questions?|still open)",
    re.I,
)


def leaves_open(content: str) -> bool:
    """Whether it says nothing else: every sentence names the options of a choice, or says that it is not made."""
    if len(content) > MAX_CHARACTERS or SIGNS.isdisjoint(WORD.findall(content.lower())):
        return False
    text = split_speaker(content)[1].replace("\u2019", "'")
    return all(_is_open(LABEL.sub("", each)) for each in split_sentences(text))


def asks_about_choice(question: str) -> bool:
    """Whether it asks how a choice stands, which a memory that leaves it open does answer."""
    return ASKS_ABOUT_THE_CHOICE.search(question) is not None


def _is_open(sentence: str) -> bool:
    said = WEIGHS.search(sentence) or OPEN.search(sentence)
    if said is None or len(sentence[: said.start()].split()) > MAX_WORDS_BEFORE:
        return False
    return not ANOTHER_CLAUSE.search(sentence) and not CHOSEN.search(OPEN.sub("", sentence))
