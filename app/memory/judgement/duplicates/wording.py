"""A statement in a form in which other words for the same are equal (pure).

Only words that say nothing are left out, and only phrases that always mean the same are exchanged. Every other word
counts: numbers, names, negations, tenses, plurals and strengths, in every language.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

from app.core.text.languages import guess_languages
from app.core.text.sentences import split_before_capitals
from app.memory.judgement.duplicates.english import base_of, read_english
from app.memory.judgement.duplicates.other_languages import read_other_language
from app.memory.judgement.duplicates.tokens import plain_text, tokens_of
from app.memory.judgement.statements import SPEAKER

MAX_CHARACTERS = 300
"""A longer text is compared word for word only."""
DIGEST_BYTES = 16
FRONTED = re.compile(
    r"^(?P<when>(?:in|on|since|at|during|from|last|every|for) [^,]{1,30}), (?P<rest>(?:i|my|we|the user)\b.+)$",
    re.IGNORECASE,
)


class Wording(NamedTuple):
    """Digests, so that a hundred thousand of them fit into memory."""

    words: bytes
    """The same for the same words, without case and punctuation."""
    meaning: bytes
    """The same for the same in other words."""
    base: bytes | None
    """The meaning without a detail at the end that only adds to it: `I have a dog named Rex` says `I have a dog`."""


def read_wording(text: str) -> Wording:
    plain = plain_text(text)
    words = _digest(" ".join(tokens_of(plain)) or plain)
    if len(plain) > MAX_CHARACTERS:
        return Wording(words, words, None)
    meaning = read_meaning(plain)
    if not meaning:
        return Wording(words, words, None)
    base = base_of(meaning)
    return Wording(words, _digest(meaning), _digest(base) if base != meaning else None)


def read_meaning(plain: str) -> str:
    """The sentences, each in its normal form."""
    match = SPEAKER.match(plain)
    speaker = f"{match[1].casefold()}:" if match else ""
    body = plain[match.end() :] if match else plain
    languages = guess_languages(body)
    parts = []
    for sentence in split_before_capitals(body):
        tokens = tokens_of(_move_time(sentence))
        read = read_other_language(tokens, languages) if languages else read_english(tokens)
        parts += [read] if read else []
    return speaker + " | ".join(parts) if parts else ""


def _move_time(sentence: str) -> str:
    """`In 2019, I moved to Oslo` says when at the beginning."""
    match = FRONTED.match(sentence)
    return f"{match['rest'].rstrip('.!')} {match['when']}" if match else sentence


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
