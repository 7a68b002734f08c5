"""Sparse BM25 vectors, the same for every index: term numbers with weights, without a model to download.

English words are stemmed and stop words dropped; words of other languages are kept whole, without accents. Text in
scripts without spaces between words becomes single letters and pairs, so that any part of it matches.
"""

import itertools
import re
from collections.abc import Sequence

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

# In words, and fixed: the true average would tell one tenant about the others.
AVERAGE_LENGTH = 32
UNSPACED_SCRIPTS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
MAX_COMPARED_CHARACTERS = 2000
"""Reading the words of so many takes a quarter of a millisecond."""
BM25_MODEL = Bm25(Bm25Config(tokenizer=TokenizerType.Word, ascii_folding=True, avg_len=AVERAGE_LENGTH))


def document_terms(text: str) -> SparseVector:
    return BM25_MODEL.embed_document(separate_unspaced(text))


def query_terms(text: str) -> SparseVector:
    return BM25_MODEL.embed_query(separate_unspaced(text))


class WordSharesMixin:
    """For every index, because all of them read words in the same way."""

    def share_of_words(self, question: str, texts: Sequence[str]) -> list[float]:
        wanted = set(query_terms(question).indices)
        if not wanted:
            return [0.0] * len(texts)
        read = (document_terms(text[:MAX_COMPARED_CHARACTERS]).indices for text in texts)
        return [len(wanted.intersection(terms)) / len(wanted) for terms in read]


def separate_unspaced(text: str) -> str:
    return text if text.isascii() else UNSPACED_SCRIPTS.sub(_letters_and_pairs, text)


def _letters_and_pairs(run: re.Match[str]) -> str:
    letters = run.group()
    pairs = [first + second for first, second in itertools.pairwise(letters)]
    return " " + " ".join([*letters, *pairs]) + " "
