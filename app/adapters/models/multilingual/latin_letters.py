"""Spells words in Latin letters where a model has not learned their script.

Names, which most questions contain, are then spelled as in the languages that the model knows.
"""

import re
import unicodedata
from functools import cache

GREEK_SMALL = [chr(code) for code in range(0x3B1, 0x3CA)]
GREEK = dict(zip(GREEK_SMALL, "a v g d e z i th i k l m n x o p r s s t y f ch ps o".split(), strict=True))  # noqa: SIM905
"""As modern Greek is pronounced."""
GREEK_PAIRS = {"μπ": "b", "ντ": "d", "γκ": "g", "ου": "ou", "αυ": "av", "ευ": "ev"}  # noqa: RUF001  # the letters are Greek
ROMANIAN = str.maketrans("șțăȘȚĂ", "staSTA")
OTHER_LETTERS = re.compile("[\u0370-\u03ff\u0900-\u0dff\u1f00-\u1fff]+")
SCRIPT_NAMES = re.compile(r"^\w+(?: \w+)?? (LETTER|VOWEL SIGN|SIGN|DIGIT) (.+)$")
INDIC_SIGNS = {"CANDRABINDU": "n", "ANUSVARA": "n", "VISARGA": "h"}
DIGITS = re.compile(r"\d")
INHERENT = "a"
"""The vowel of a consonant without a vowel sign, in the scripts of India."""


def in_latin_letters(text: str) -> str:
    if text.isascii():
        return text
    return OTHER_LETTERS.sub(_spell, text.translate(ROMANIAN))


def _spell(run: re.Match[str]) -> str:
    letters = run.group()
    return _spell_greek(letters) if letters[0] < "\u0900" or letters[0] > "\u1eff" else _spell_indic(letters)


def _spell_greek(letters: str) -> str:
    bare = "".join(each for each in unicodedata.normalize("NFD", letters) if not unicodedata.combining(each))
    paired = bare.lower()
    for pair, latin in GREEK_PAIRS.items():
        paired = paired.replace(pair, latin)
    spelled = "".join(GREEK.get(each, each) for each in paired)
    return spelled.capitalize() if bare[:1].isupper() else spelled


def _spell_indic(letters: str) -> str:
    """A consonant has the vowel `a`, unless a vowel sign or a sign without a vowel follows, or the word ends."""
    parts: list[str] = []
    open_consonant = False
    for letter in letters:
        kind, sound = _indic_sound(letter)
        if open_consonant and kind not in ("VOWEL SIGN", "VIRAMA", "NUKTA"):
            parts.append(INHERENT)
        if kind != "NUKTA":
            open_consonant = kind == "CONSONANT"
        parts.append(sound)
    return "".join(parts)


@cache
def _indic_sound(letter: str) -> tuple[str, str]:
    """Its kind and its Latin letters, read from its name in Unicode, such as `DEVANAGARI VOWEL SIGN AA`."""
    if letter.isdecimal():
        return "DIGIT", str(unicodedata.decimal(letter))
    named = SCRIPT_NAMES.match(unicodedata.name(letter, ""))
    if named is None:
        return "OTHER", letter if not unicodedata.combining(letter) else ""
    kind, name = named.group(1), named.group(2)
    if kind == "SIGN":
        return (name if name in ("VIRAMA", "NUKTA") else "OTHER"), INDIC_SIGNS.get(name, "")
    sound = _simple(name.split()[-1].lower())
    if kind == "VOWEL SIGN":
        return kind, sound
    is_consonant = sound.endswith(INHERENT) and len(sound) > 1 and sound not in ("aa",)
    return ("CONSONANT", sound[:-1]) if is_consonant else ("VOWEL", sound)


def _simple(sound: str) -> str:
    """`TTHA` is spelled `tha`, `AA` is spelled `a`, `SSA` is spelled `sha`."""
    if sound in ("aa", "ii", "uu", "ee", "oo"):
        return sound[0] if sound == "aa" else {"ii": "i", "uu": "u", "ee": "e", "oo": "o"}[sound]
    return (
        re.sub(r"^(tt|dd|nn|ll|rr)", lambda pair: pair.group()[0], sound).replace("ssa", "sha").replace("vocalic", "ri")
    )
