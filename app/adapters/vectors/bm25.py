"""Words as a sparse vector, the same for every index: term numbers with BM25 weights, and no model to download.

English words lose their endings and the most common ones are dropped; words of other languages are kept whole, without
accents. Scripts that put no space between words become single letters and pairs, so that any part of a text matches.
"""

import itertools
import re

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

# A fixed typical length of a memory in words: the true average would tell one customer about the others.
TYPICAL_LENGTH = 32
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
MODEL = Bm25(Bm25Config(tokenizer=TokenizerType.Word, ascii_folding=True, avg_len=TYPICAL_LENGTH))


def document_terms(text: str) -> SparseVector:
    return MODEL.embed_document(separate(text))


def query_terms(text: str) -> SparseVector:
    return MODEL.embed_query(separate(text))


def separate(text: str) -> str:
    return text if text.isascii() else UNSPACED.sub(_letters_and_pairs, text)


def _letters_and_pairs(run: re.Match[str]) -> str:
    letters = run.group()
    pairs = [first + second for first, second in itertools.pairwise(letters)]
    return " " + " ".join([*letters, *pairs]) + " "
