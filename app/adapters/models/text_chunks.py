"""Texts longer than a remote model reads: cut at spaces, embedded in pieces, their vectors averaged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.ports import Vector


@dataclass(frozen=True, slots=True)
class Pieces:
    texts: list[str]
    owners: list[int]
    """For each piece, which of the original texts it comes from."""


def cut(texts: Sequence[str], longest: int) -> Pieces:
    pairs = [(piece, owner) for owner, text in enumerate(texts) for piece in _pieces(text, longest)]
    return Pieces([piece for piece, _ in pairs], [owner for _, owner in pairs])


def join(pieces: Pieces, vectors: Sequence[Vector]) -> list[Vector]:
    """One unit vector for each original text, its pieces weighed by their length."""
    lengths = np.array([[len(text)] for text in pieces.texts], dtype=np.float64)
    sums = np.zeros((pieces.owners[-1] + 1 if pieces.owners else 0, len(vectors[0]) if vectors else 0))
    np.add.at(sums, pieces.owners, _unit(np.asarray(vectors, dtype=np.float64)) * lengths)
    return [[float(number) for number in row] for row in _unit(sums)]


def _pieces(text: str, longest: int) -> Iterator[str]:
    text = text.encode(errors="replace").decode()  # JSON can carry half a surrogate pair, a request cannot
    while len(text) > longest:
        end = text.rfind(" ", longest // 2, longest) + 1 or longest
        yield text[:end]
        text = text[end:]
    yield text or " "  # an empty input is refused by most servers


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
