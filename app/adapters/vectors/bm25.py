"""Sparse BM25 vectors, the same for every index: term numbers with weights, without a model to download.

Every text is read as English: words are stemmed, stop words dropped, accents removed. What looks like another language
gets the stems of that language besides, so a wrong guess loses no word. Text in scripts without spaces between words
becomes single letters and pairs, so that any part of it matches; Thai gets its words besides. Hindi gets its stems
only. A change of the terms of a text needs a higher WORDS_VERSION.
"""

import itertools
import re
from collections.abc import Sequence
from functools import cache

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

from app.core.text.hindi import stem_hindi
from app.core.text.languages import Language, guess_languages

# In words, and fixed: the true average would tell one tenant about the others.
AVERAGE_LENGTH = 32
UNSPACED_SCRIPTS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
THAI = re.compile("[\u0e00-\u0e7f]+")
MAX_COMPARED_CHARACTERS = 2000
"""Reading the words of so many takes a quarter of a millisecond."""
STEMMED = frozenset(Language) - {Language.CHINESE, Language.ENGLISH, Language.HINDI, Language.THAI}
"""The languages that the library has a stemmer for, by the same name. Chinese is found by its letters and pairs: real
words were no better among ten results, and the dictionary takes 50 MB and 0.6 s."""


@cache
def bm25_model(language: str, tokenizer: TokenizerType = TokenizerType.Word) -> Bm25:
    return Bm25(Bm25Config(tokenizer=tokenizer, language=language, ascii_folding=True, avg_len=AVERAGE_LENGTH))


ENGLISH = bm25_model(Language.ENGLISH)


def document_terms(text: str) -> SparseVector:
    return _merge([model.embed_document(part) for model, part in _readings(text)])


def query_terms(text: str) -> SparseVector:
    return _merge([model.embed_query(part) for model, part in _readings(text)])


class WordSharesMixin:
    """For every index, because all of them read words in the same way."""

    def share_of_words(self, question: str, texts: Sequence[str]) -> list[float]:
        wanted = set(query_terms(question).indices)
        if not wanted:
            return [0.0] * len(texts)
        read = (document_terms(text[:MAX_COMPARED_CHARACTERS]).indices for text in texts)
        return [len(wanted.intersection(terms)) / len(wanted) for terms in read]


def _readings(text: str) -> list[tuple[Bm25, str]]:
    languages = guess_languages(text)
    if not languages:
        return [(ENGLISH, separate_unspaced(text))]
    if Language.HINDI in languages:
        text = stem_hindi(text)
    separated = separate_unspaced(text)
    readings = [(ENGLISH, separated)]
    readings += [(bm25_model(each), separated) for each in sorted(languages & STEMMED)]
    if Language.THAI in languages:
        readings.append((bm25_model(Language.ENGLISH, TokenizerType.Multilingual), " ".join(THAI.findall(text))))
    return readings


def _merge(vectors: Sequence[SparseVector]) -> SparseVector:
    """The higher of the weights of a term that several readings have."""
    if len(vectors) == 1:
        return vectors[0]
    weights: dict[int, float] = {}
    for vector in vectors:
        for term, weight in zip(vector.indices, vector.values, strict=True):
            weights[term] = max(weight, weights.get(term, 0.0))
    return SparseVector(list(weights), list(weights.values()))


def separate_unspaced(text: str) -> str:
    return text if text.isascii() else UNSPACED_SCRIPTS.sub(_letters_and_pairs, text)


def _letters_and_pairs(run: re.Match[str]) -> str:
    letters = run.group()
    pairs = [first + second for first, second in itertools.pairwise(letters)]
    return " " + " ".join([*letters, *pairs]) + " "
