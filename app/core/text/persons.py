# ruff: noqa: RUF001, RUF003  (letters and punctuation of other scripts are intended)
"""Whom a question is about, in eight languages: its names, the user for `I`, the assistant for `you` (pure)."""

import re
from collections.abc import Set

from app.core.text.content_words import STOP_WORDS, WORD, words
from app.core.text.languages import SMALL_WORDS, Language, guess_languages

FIRST_PERSON = {
    Language.ENGLISH: words("i me my mine myself we us our"),
    Language.GERMAN: words("ich mich mir mein meine meinen meinem meiner meines wir uns unser unsere unseren unserem"),
    Language.SPANISH: words(
        "yo me mí mi mis mío mía conmigo nos nosotros nosotras nuestro nuestra nuestros soy estoy tengo vivo trabajo",
        "hago voy quiero puedo fui hice tuve estuve",
    ),
    Language.TURKISH: words("ben beni bana bende benden benim bizim biz bizi bize"),
    Language.HINDI: words(
        "मैं मैंने मुझे मुझको मुझसे मेरा मेरी मेरे हम हमने हमें हमारा हमारी हमारे",
    ),
    Language.RUSSIAN: words(
        "я меня мне мной мой моя моё мое мои моего моей моему моим моих мою моём моем мы нас нам нами наш наша наше",
        "наши нашего нашей нашу",
    ),
    Language.ARABIC: words("أنا انا لي عندي لدي معي مني عني إلي نحن لنا عندنا لدينا معنا"),
}
SECOND_PERSON = {
    Language.ENGLISH: words("you your yours yourself"),
    Language.GERMAN: words("du dich dir dein deine deinen deinem deiner"),
    Language.SPANISH: words("tú ti te tu tus contigo usted vos"),
    Language.TURKISH: words("sen seni sana sende senden senin siz sizi size sizin"),
    Language.HINDI: words("तुम तुमने तुम्हें तुमको तुमसे तुम्हारा तुम्हारी तुम्हारे आप आपने आपको आपसे आपका आपकी आपके"),
    Language.RUSSIAN: words(
        "ты тебя тебе тобой твой твоя твоё твое твои твоего твоей вы вас вам вами ваш ваша ваше ваши"
    ),
    Language.ARABIC: words("أنت انت أنتِ لك عندك لديك معك منك عنك إليك"),
}
FIRST_FORMS = {
    # Possessives and verbs: "köpeğimin", "yaşıyorum".
    Language.TURKISH: re.compile(r"\w{2}[ıiuü]m(?:[ıiuü]n?|[ae]|d[ae]n?)?\b|\w[ıiuü]yoruz\b"),
    # Chinese separates no words.
    Language.CHINESE: re.compile("[我咱俺]"),
    # "My", but not an adjective, which has an article where it follows a noun.
    Language.ARABIC: re.compile(r"(?<!\w)(?!ال|التي|الذي|في|هي|أي)\w{2,}(?:ي|ني)(?!\w)"),
}
SECOND_FORMS = {Language.CHINESE: re.compile("[你您]")}
USER = words(
    "ich mein meine meinen yo mi mis ben benim मैं मैंने मुझे मेरा मेरी मेरे я меня мне мой моя моё мои أنا انا",
    "nutzer benutzer usuario kullanıcı उपयोगकर्ता пользователь المستخدم",
)
"""Words of other languages than English with which a memory about the user begins."""
CHINESE_USER = ("我", "咱", "俺", "用户")
MIN_NAME, MAX_ENDING = 3, 2
"""Letters that two forms of a name share at least, and in which they may differ at the end."""


def speaks_of_user(question: str, languages: Set[Language]) -> bool:
    return _has(question, languages, FIRST_PERSON, FIRST_FORMS)


def speaks_to_assistant(question: str, languages: Set[Language]) -> bool:
    return _has(question, languages, SECOND_PERSON, SECOND_FORMS)


def _has(
    question: str,
    languages: Set[Language],
    table: dict[Language, frozenset[str]],
    forms: dict[Language, re.Pattern[str]],
) -> bool:
    lower = question.lower()
    spoken = set(WORD.findall(lower))
    return any(
        not spoken.isdisjoint(table.get(language, ())) or (language in forms and forms[language].search(lower))
        for language in languages
    )


def is_named(subject: str, question: str, languages: Set[Language]) -> bool:
    """Whether a question in another language than English names the subject, in some form: "Annas", "Анны"."""
    if Language.CHINESE in languages and len(subject) > 1 and subject in question:
        return True
    small = {word for language in languages for word in SMALL_WORDS.get(language, "").split()} | STOP_WORDS
    return subject not in small and any(_is_form(subject, word) for word in _names(question))


def _names(question: str) -> list[str]:
    """Words that may be names: capitalized, or of a script without capitals."""
    found = [word.split("'")[0] for word in WORD.findall(question.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))]
    return [word.lower() for word in found if word and (word[0].isupper() or word[0].lower() == word[0].upper())]


def _is_form(name: str, word: str) -> bool:
    if name == word:
        return True
    shared = next((at for at, (a, b) in enumerate(zip(name, word, strict=False)) if a != b), min(len(name), len(word)))
    return shared >= MIN_NAME and shared >= max(len(name), len(word)) - MAX_ENDING


def is_about_user(content: str, first_word: str) -> bool:
    """Of a memory in another language than English."""
    return first_word in USER or content.startswith(CHINESE_USER)


def question_languages(question: str) -> frozenset[Language]:
    """English is always among them."""
    return frozenset({Language.ENGLISH, *guess_languages(question)})
