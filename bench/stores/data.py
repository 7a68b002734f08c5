"""Memories for the comparison: the same for each store, with vectors of the shipped model.

A few thousand sentences are embedded. Each memory is a mixture of two of them, so that vectors are as close to each
other as those of sentences are, and any number of memories takes seconds.
"""

import itertools
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.adapters.models.onnx import OnnxEmbedder
from app.core.ports import IndexEntry, SearchScope
from bench.corpus import sentences

Floats = NDArray[np.float32]
EMBEDDED, QUESTIONS, SMALL_NAMESPACES = 3000, 60, 200
PROJECT = uuid.UUID(int=7)
LARGE = "large"
"""The namespace that has a tenth of the memories."""


@dataclass
class Memories:
    vectors: Floats
    texts: list[str]
    namespaces: list[str]
    questions: Floats
    question_texts: list[str]

    def entries(self, start: int, end: int) -> list[IndexEntry]:
        return [
            IndexEntry(id_of(n), PROJECT, self.namespaces[n], self.vectors[n].tolist(), self.texts[n])
            for n in range(start, end)
        ]

    def nearest(self, namespace: str | None, question: int, limit: int) -> set[uuid.UUID]:
        """Compared with all of the scope."""
        chosen = [n for n, each in enumerate(self.namespaces) if namespace in (None, each)]
        similarities = self.vectors[chosen] @ self.questions[question]
        return {id_of(chosen[place]) for place in np.argsort(-similarities)[:limit].tolist()}


def id_of(number: int) -> uuid.UUID:
    return uuid.uuid5(PROJECT, str(number))


def scope_of(namespace: str | None) -> SearchScope:
    return SearchScope(PROJECT, None if namespace is None else (namespace,))


async def embed_sentences(file: Path) -> None:
    embedder = OnnxEmbedder()
    texts = list(itertools.islice(sentences(3), EMBEDDED + QUESTIONS))
    np.save(file, np.array(await embedder.embed(texts), dtype=np.float32))
    await embedder.close()


def make_memories(file: Path, size: int) -> Memories:
    texts, chance = list(itertools.islice(sentences(3), EMBEDDED + QUESTIONS)), np.random.default_rng(size)
    embedded: Floats = np.load(file)
    first, second = chance.integers(0, EMBEDDED, (2, size))
    mixed = embedded[first] + chance.uniform(0.2, 0.8, (size, 1)) * embedded[second]
    mixed += chance.normal(0, 0.01, mixed.shape)
    return Memories(
        (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32),
        [f"{texts[a]} and {texts[b]}" for a, b in zip(first.tolist(), second.tolist(), strict=True)],
        [LARGE if n % 10 == 0 else f"small{n % SMALL_NAMESPACES}" for n in range(size)],
        embedded[EMBEDDED:],
        texts[EMBEDDED:],
    )
