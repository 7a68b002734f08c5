# ruff: noqa: RUF001  (letters of other languages are intended)
"""Guess the language of a text from its letters and its small words, the same way for memories and questions (pure).

A wrong guess is harmless where it is used: the words of a text are always read as English, too.
"""

import re
from enum import StrEnum

WORDS_VERSION = 2
"""Raised when a text of another language than English gets other words in the index: see `refresh_words`."""
MAX_READ = 2000
"""Characters. The language of a longer text is that of its beginning."""


class Language(StrEnum):
    ARABIC = "arabic"
    CHINESE = "chinese"
    DUTCH = "dutch"
    ENGLISH = "english"
    FRENCH = "french"
    GERMAN = "german"
    GREEK = "greek"
    HINDI = "hindi"
    ITALIAN = "italian"
    PORTUGUESE = "portuguese"
    ROMANIAN = "romanian"
    RUSSIAN = "russian"
    SPANISH = "spanish"
    THAI = "thai"
    TURKISH = "turkish"


SCRIPTS = {
    Language.ARABIC: re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    Language.CHINESE: re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    Language.GREEK: re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    Language.HINDI: re.compile("[\u0900-\u097f]"),
    Language.RUSSIAN: re.compile("[\u0400-\u04ff]"),
    Language.THAI: re.compile("[\u0e00-\u0e7f]"),
}
WORD = re.compile(r"[^\W\d_]+")
SMALL_WORDS = {
    Language.ENGLISH: (
        "the and is are was were have has had do does did what who where when why how which my your his her our their"
        " of to in on at for from with that this it you he she we they i a an be been not as by or but if so can could"
        " would will about there me him them us s t don m re ve ll just like user going went got get am"
    ),
    Language.DUTCH: (
        "het een ik jij hij zij wij jullie niet van voor met zijn haar mijn jouw wat wie waar wanneer hoe welke heb"
        " hebben heeft naar maar ook aan bij deze dat ben woont woon ons onze"
    ),
    Language.FRENCH: (
        "le la les un une des je tu il elle nous vous ils mon ma mes ton ta tes ses est suis sont et ou pas ne que qui"
        " quoi où quand comment quel quelle pour avec dans sur du au aux ce cette j l d n qu habite ai avons"
    ),
    Language.GERMAN: (
        "in was die so hat war will der das den dem des ein eine einen einem einer ich du er sie wir ihr mein"
        " meine meinen meinem meiner dein"
        " deine und oder nicht ist sind habe haben hatte wer wie wo wann warum welche welcher welches mit von zu zum"
        " zur im auf für bei aus nach mich mir dich dir wird wurde bin heißt kein keine auch seit welchem"
        " welchen wem wen viele konnte gab wurden werden als einige dass wohne arbeite"
    ),
    Language.ITALIAN: (
        "il lo gli un una uno io tu lui lei noi voi loro mio mia miei mie tuo tua suo sua che chi cosa dove quando come"
        " quale di del della dei con per non è sono ho hai ha abbiamo mi ti si ci nel nella al alla e"
    ),
    Language.PORTUGUESE: (
        "o os as um uma eu tu ele ela nós você vocês eles meu minha meus minhas seu sua que quem onde quando como qual"
        " quais do da dos das com para não é são foi tenho tem em no na nos nas ao à e moro"
    ),
    Language.ROMANIAN: (
        "și un o eu tu el ea noi voi ei mea meu mei mele ta tău cine ce unde când cum de la cu pentru nu este sunt"
        " am ai are în din pe lui a al câte câți s au fost"
    ),
    Language.SPANISH: (
        "el la los las un una unos yo tú él ella nosotros mi mis tu tus su sus que qué quién dónde cuándo cómo cuál"
        " cuáles cuántos cuántas de del con por para no es son soy está fue tengo tiene he ha y en al se lo nos vivo"
        " donde como cuando cual quien gusta"
    ),
    Language.TURKISH: (
        "ben sen biz siz bir ve veya bu şu ne kim nerede nereye nereden neden nasıl hangi kaç için ile de da mi mı mu"
        " mü benim bana beni senin çok var yok değil gibi adı adım olarak daha en oldu nedir kaçtır hangisi"
    ),
}
_OF_LATIN = {language: frozenset(words.split()) for language, words in SMALL_WORDS.items()}
_ALL_LATIN = frozenset().union(*_OF_LATIN.values())
LETTERS = {
    Language.FRENCH: re.compile("[œèêëîûù]"),
    Language.GERMAN: re.compile("[ßä]"),
    Language.PORTUGUESE: re.compile("[ãõ]"),
    Language.ROMANIAN: re.compile("[ășțţ]"),
    Language.SPANISH: re.compile("[ñ¿¡]"),
    Language.TURKISH: re.compile("[ğış]"),
}
"""Letters that few other languages have count as a small word."""
# Turkish has fewer small words than endings.
TURKISH_ENDING = re.compile(r"[ıiuü]yor(?:um|sun|uz|lar)?\b|\w'(?:d[ae]n?|y[ae]|n[ıiuü]n|t[ae]n?)\b")


def guess_languages(text: str) -> set[Language]:
    """Without English, which every text may contain. At most one of those in Latin letters."""
    lower = text[:MAX_READ].lower()
    if lower.isascii():
        found: set[Language] = set()
    else:
        found = {language for language, letters in SCRIPTS.items() if letters.search(lower)}
    latin = _guess_latin(lower)
    return found if latin is Language.ENGLISH else found | {latin}


def _guess_latin(lower: str) -> Language:
    small = _ALL_LATIN.intersection(WORD.findall(lower))
    turkish = TURKISH_ENDING.search(lower) is not None
    if not small and not turkish and lower.isascii():
        return Language.ENGLISH
    counts = {language: len(small & words) for language, words in _OF_LATIN.items()}
    if not lower.isascii():
        for language, letters in LETTERS.items():
            counts[language] += letters.search(lower) is not None
    counts[Language.TURKISH] += turkish
    # The first of the best: English, then in the order of the table.
    return max(counts, key=lambda language: counts[language])
