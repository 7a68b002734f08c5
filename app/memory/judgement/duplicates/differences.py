"""What tells two near statements apart for certain, so that no language model is asked about them (pure)."""

import re
from collections.abc import Callable

from app.core.text.content_words import words
from app.core.text.languages import Language, guess_languages
from app.memory.judgement.duplicates.english import FORMS, OPENERS, expand
from app.memory.judgement.duplicates.tokens import plain_text, tokens_of

NEGATIONS = words(
    "not no never none nobody nothing without neither nor cannot hardly dislike dislikes hate hates avoid avoids",
    "stopped quit nicht kein keine keinen keinem keiner nie niemals ohne no nunca ningún ninguna nadie sin değil yok",
    "hiç asla не нет ни никогда без नहीं मत कभी لا ليس ليست لن لم ما بدون أبدا",
)
MODALS = words(
    "would could might may maybe perhaps probably should want wants wish wishes hope hopes plan plans planning going",
    "will used was were had did former formerly previously ex once almost nearly considering thinking if unless until",
    "only today tomorrow yesterday tonight now currently soon later before after last next every always sometimes",
    "often rarely usually occasionally really very so too extremely severely mildly slightly somewhat quite favorite",
    "love loves adore adores prefer prefers like likes enjoy enjoys möchte will würde könnte vielleicht früher war",
    "hatte wollte quiero quisiera podría quizás antes era solía había fue istiyorum belki eskiden хочу может раньше",
    "был была бы शायद था थी चाहता चाहती ربما أريد كنت كان",
)
NEGATION_IN_CHINESE = re.compile("[不没沒别無无]")
MODAL_IN_CHINESE = re.compile("想|可能|也许|以前|曾经|会|将|打算|希望|了")
PERSONS = words("you your yours he him his she her hers we us our ours")
NO_NAMES = OPENERS | words("i user the a an my our this that it he she they we you there in on at since for when")
WORD = re.compile(r"[^\W\d_][\w'-]*")
NUMBER = re.compile(r"[-$€£¥₹₽#]?\d+(?:[.,:/-]\d+)*[$€£¥₹₽%°]?")


def differ_for_certain(one: str, other: str) -> bool:
    """Another number, name, person, negation, tense or strength. In doubt they do not differ for certain."""
    first, second = plain_text(one), plain_text(other)
    return any(read(first) != read(second) for read in READERS) or _names_differ(first, second)


def _tokens(text: str) -> list[str]:
    expanded = " ".join(expand(token) for token in tokens_of(text))
    return [FORMS.get(token, token) for token in expanded.split()]


def _numbers(text: str) -> object:
    return sorted(NUMBER.findall(" ".join(_tokens(text))))


def _negated(text: str) -> object:
    return bool(NEGATIONS.intersection(_tokens(text)) or NEGATION_IN_CHINESE.search(text))


def _modals(text: str) -> object:
    return MODALS.intersection(_tokens(text)), frozenset(MODAL_IN_CHINESE.findall(text))


def _persons(text: str) -> object:
    return PERSONS.intersection(_tokens(text))


def _asks(text: str) -> object:
    return "?" in tokens_of(text)


READERS: tuple[Callable[[str], object], ...] = (_numbers, _negated, _modals, _persons, _asks)


def _names_differ(one: str, other: str) -> bool:
    """Capitalized words. In other languages than English, the first word of a text is left out, and German is not
    compared: each of its nouns has a capital."""
    languages = guess_languages(one) | guess_languages(other)
    if Language.GERMAN in languages:
        return False
    lower = {word.casefold() for text in (one, other) for word in WORD.findall(text) if word[0].islower()}
    first, second = _names(one, is_english=not languages), _names(other, is_english=not languages)
    return first - lower != second - lower


def _names(text: str, *, is_english: bool) -> set[str]:
    found = WORD.findall(text)[0 if is_english else 1 :]
    names = {word.casefold().removesuffix("'s") for word in found if word[0].isupper()}
    return {FORMS.get(name, name) for name in names if name.split("'")[0] not in NO_NAMES}
