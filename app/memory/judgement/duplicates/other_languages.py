# ruff: noqa: RUF001  (letters of other languages are intended)
"""Statements in seven other languages in a normal form (pure). Where the verb names the person, a pronoun says
nothing more. What is said about the user in the third person stays as it is, except in Chinese."""

import re
from collections.abc import Set

from app.core.text.content_words import words
from app.core.text.languages import Language

SPANISH, TURKISH, RUSSIAN, ARABIC = Language.SPANISH, Language.TURKISH, Language.RUSSIAN, Language.ARABIC
PRONOUNS = {
    SPANISH: words("yo"),
    TURKISH: words("ben"),
    RUSSIAN: words("я"),
    ARABIC: words("أنا انا"),
}
"""For `I`, where the verb says it."""
AMBIGUOUS = {
    # "Yo trabajaba" and "él trabajaba" have the same verb, and so has the past tense of Russian.
    SPANISH: re.compile(r"\w+(?:aba|ía|iera|ara|ría|e)$|era$"),
    RUSSIAN: re.compile(r"\w+(?:л|ла|ло|ли|лся|лась)$|не$|бы$"),
    TURKISH: re.compile(r"(?!)"),
    ARABIC: re.compile(r"(?!)"),
}
OPENERS = {
    Language.GERMAN: words("ja also naja übrigens hallo hi okay ok bitte"),
    SPANISH: words("sí bueno hola pues oye ok por favor"),
    TURKISH: words("evet merhaba selam tamam bu arada lütfen"),
    RUSSIAN: words("да привет ну кстати ок пожалуйста"),
    ARABIC: words("نعم مرحبا حسنا"),
    Language.HINDI: words("हाँ नमस्ते वैसे अच्छा"),
}
FORMS = {
    Language.GERMAN: {"hab": "habe", "ich's": "ich es", "gerne": "gern", "wohn": "wohne", "heiss": "heiße"},
    RUSSIAN: {},
    TURKISH: {},
}
ARABIC_MARKS = re.compile("[\u0640\u064b-\u065f\u0670]")
CHINESE_USER = re.compile("^(?:用户|使用者)(?:的)?")
CHINESE_OPENERS = re.compile("^(?:你好|嗨|对了|顺便说一下|嗯|哦)+")


def read_other_language(tokens: list[str], languages: Set[Language]) -> str:
    """A text of several languages, or of one that has no rules here, stays as it is."""
    if len(languages) != 1:
        return " ".join(tokens)
    [language] = languages
    if language is Language.CHINESE:
        return _read_chinese("".join(tokens))
    bare = _without_openers(tokens, OPENERS.get(language, frozenset()))
    if bare and bare[0] in PRONOUNS.get(language, ()) and len(bare) > 1 and not AMBIGUOUS[language].match(bare[1]):
        bare = bare[1:]
    forms = FORMS.get(language, {})
    text = " ".join(forms.get(each, each) for each in bare)
    if language is ARABIC:
        return ARABIC_MARKS.sub("", text).translate(str.maketrans("أإآ", "ااا"))
    return text.replace("ё", "е") if language is RUSSIAN else text


def _read_chinese(text: str) -> str:
    text = CHINESE_OPENERS.sub("", text)
    if "我" not in text and (match := CHINESE_USER.match(text)):
        return ("我的" if match[0].endswith("的") else "我") + text[match.end() :]
    return text


def _without_openers(tokens: list[str], openers: Set[str]) -> list[str]:
    start = next((at for at, token in enumerate(tokens) if token not in openers), 0)
    return tokens[start:]
