"""Splits texts that are too long for a remote model at spaces, and averages the vectors of the split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.ports import MAX_PIECES, Vector


@dataclass(frozen=True, slots=True)
class SplitTexts:
    texts: list[str]
    owners: list[int]
    """For each piece, the index of its original text."""


def split_texts(texts: Sequence[str], max_length: int) -> SplitTexts:
    pairs = [(piece, owner) for owner, text in enumerate(texts) for piece in _split(text, max_length)]
    return SplitTexts([piece for piece, _ in pairs], [owner for _, owner in pairs])


def average_vectors(split: SplitTexts, vectors: Sequence[Vector]) -> list[Vector]:
    """One unit vector for each original text. Pieces are weighted by length."""
    lengths = np.array([[len(text)] for text in split.texts], dtype=np.float64)
    sums = np.zeros((split.owners[-1] + 1 if split.owners else 0, len(vectors[0]) if vectors else 0))
    np.add.at(sums, split.owners, _to_unit_length(np.asarray(vectors, dtype=np.float64)) * lengths)
    return [[float(number) for number in row] for row in _to_unit_length(sums)]


def _split(text: str, max_length: int) -> Iterator[str]:
    # JSON may contain a lone surrogate, a request may not.
    text = text[: max_length * MAX_PIECES].encode(errors="replace").decode()
    while len(text) > max_length:
        end = text.rfind(" ", max_length // 2, max_length) + 1 or max_length
        yield text[:end]
        text = text[end:]
    yield text or " "  # most servers refuse an empty input


def _to_unit_length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
