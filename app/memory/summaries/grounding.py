# ruff: noqa: RUF001  (letters of other scripts are intended)
"""Whether a sentence that a language model wrote says only what the episodes say, as far as words can tell (pure).

A name or a number that occurs in no episode was invented, and so was a sentence that shares few words with them.
"""

import re
import unicodedata
from collections.abc import Sequence

from app.core.text.content_words import STOP_WORDS, content_words, coverage, words
from app.core.text.languages import Language, guess_languages

MIN_COVERAGE = 0.4
"""The share of the words of a sentence that the episodes have in some form. The others join what was said."""
NUMBER = re.compile(r"\d+(?:[.,٫٬]\d+)*")
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
POSSESSIVE = re.compile(r"['’][^\W\d_]{1,4}$")
MAX_ENDING = 3
MIN_STEM = 3
USERS = words(
    "user user's users nutzer nutzers nutzerin benutzer person usuario usuaria utilisateur utilisatrice utente",
    "kullanıcı kullanıcının assistant assistent asistente asistan пользователь пользователя пользователю",
    "пользовательница ассистент 用户 उपयोगकर्ता المستخدم",
)
"""What a summary calls the speaker."""
# German writes every noun with a capital. Behind one of these words stands a thing rather than a name.
GERMAN_DETERMINERS = words(
    "der die das den dem des ein eine einen einem einer eines kein keine keinen keinem keiner mein meine meinen meinem",
    "meiner sein seine seinen seinem seiner seines ihr ihre ihren ihrem ihrer ihres im am zum zur vom beim ins ans",
    "jeden jede jedes diese dieser diesen diesem dieses",
)


def is_grounded(sentence: str, episodes: Sequence[str]) -> bool:
    """`episodes` has the texts that the sentence was made from, and their dates."""
    source = "\n".join(episodes)
    if not _numbers(sentence) <= _numbers(source):
        return False
    known = {_bare(word) for word in WORD.findall(source)}
    if not all(_is_known(name, known) for name in _names(sentence)):
        return False
    wanted = [word for word in content_words(sentence) if word not in USERS]
    return coverage(wanted, content_words(source)) >= MIN_COVERAGE


def _numbers(text: str) -> set[str]:
    """Without separators of thousands and decimals, which languages write differently, and zeros of dates."""
    found = (re.sub(r"\D", "", number) for number in NUMBER.findall(unicodedata.normalize("NFKC", text)))
    return {str(int(digits)) for digits in found}


def _names(sentence: str) -> list[str]:
    """Words with a capital letter, other than small words and what the speaker is called."""
    said = WORD.findall(sentence)
    if Language.GERMAN in guess_languages(sentence):
        before = ["", *(word.lower() for word in said)]
        said = [word for word, previous in zip(said, before, strict=False) if previous not in GERMAN_DETERMINERS]
    bare = {_bare(word) for word in said if word != word.lower()}
    return [word for word in bare if word not in STOP_WORDS and word not in USERS]


def _bare(word: str) -> str:
    return POSSESSIVE.sub("", word).lower()


def _is_known(name: str, known: set[str]) -> bool:
    return name in known or any(_differ_by_ending(name, word) for word in known)


def _differ_by_ending(one: str, other: str) -> bool:
    """Москва and Москве, Anna and Annas, but not Maria and Marie: in Latin letters, one is the other with an ending."""
    short, long = sorted((one, other), key=len)
    stem = short if short.isascii() else short[:-2]
    return len(stem) >= MIN_STEM and long.startswith(stem) and len(long) - len(stem) <= MAX_ENDING
