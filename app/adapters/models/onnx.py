"""Embeddings from the shipped model in this process, without downloads or network.

`fastembed` loads the model. Inference and pooling are done here, without its Python overhead (0.3 ms of 1.7 ms).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

from app.adapters.models.local_embedder import (
    MAX_BATCH_TOKENS,
    MAX_PIECE_TOKENS,
    Floats,
    LocalEmbedder,
    TextEmbeddingState,
    normalize,
)

FOLDER = Path(__file__).parent.parent.parent / "models" / "all-MiniLM-L6-v2-int8-static"
NAME = "all-MiniLM-L6-v2-int8-static"
DIMENSIONS = 384
RUN_OVERHEAD_TOKENS = 8
"""The fixed cost of a run, in tokens: up to this much padding costs less than another run."""


class LoadedModel:
    """The model and its tokenizer. Both are stateless between calls, so several threads may use them."""

    def __init__(self, folder: Path) -> None:
        _register_model()
        loaded: Any = TextEmbedding(
            NAME,
            specific_model_path=str(folder),
            cache_dir=str(folder),  # fastembed creates this folder without using it, so name one that exists
            threads=1,  # a second thread would compete with other work while the first waits for it
            providers=["CPUExecutionProvider"],
        ).model
        self._session = loaded.model  # fastembed's types declare neither attribute
        self._tokenizer = loaded.tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=MAX_PIECE_TOKENS)  # the rest becomes further pieces

    def embed(self, texts: Sequence[str]) -> list[Floats]:
        """One unit vector per text: the average of its pieces, weighted by length."""
        embeddings = [TextEmbeddingState(text) for text in texts]
        while not all(each.is_complete for each in embeddings):
            self.embed_step(embeddings)
        return [each.vector for each in embeddings]

    def embed_step(self, texts: Sequence[TextEmbeddingState]) -> None:
        """Continue these embeddings with about `MAX_BATCH_TOKENS` tokens, so that other tenants have their turn."""
        self._tokenize([each for each in texts if each.pieces is None])
        batches = batch_pieces([Piece(row, ids) for row, each in enumerate(texts) for ids in each.pieces or ()])
        for each in texts:
            each.pieces = []
        spent = 0
        for batch in batches:
            if spent >= MAX_BATCH_TOKENS:
                for piece in batch:
                    texts[piece.text].add_remaining(piece.ids)
                continue
            spent += len(batch) * len(batch[-1].ids)
            for piece, vector in zip(batch, _run_model(self._session, batch), strict=True):
                texts[piece.text].total = texts[piece.text].total + vector * len(piece.ids)

    def _tokenize(self, texts: Sequence[TextEmbeddingState]) -> None:
        # a lone surrogate, which JSON may contain, would make the whole batch fail
        encodable = [each.readable_part.encode(errors="replace").decode() for each in texts]
        for each, encoding in zip(texts, self._tokenizer.encode_batch(encodable), strict=True):
            each.pieces = [piece.ids for piece in (encoding, *encoding.overflowing)][: each.max_pieces]


@dataclass(frozen=True, slots=True)
class Piece:
    text: int
    """The index of its text."""
    ids: Sequence[int]


def batch_pieces(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """One batch per run, shortest pieces first. A longer piece joins a batch if padding costs less than another run."""
    batch: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: len(piece.ids)):
        padding = (len(piece.ids) - len(batch[-1].ids)) * len(batch) if batch else 0
        if batch and (padding > RUN_OVERHEAD_TOKENS or len(piece.ids) * (len(batch) + 1) > MAX_BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _run_model(session: Any, batch: Sequence[Piece]) -> list[Floats]:
    ids = np.zeros((len(batch), len(batch[-1].ids)), dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=np.int32)
    for row, piece in enumerate(batch):
        ids[row, : len(piece.ids)], mask[row, : len(piece.ids)] = piece.ids, 1
    [hidden] = session.run(None, {"input_ids": ids, "attention_mask": mask})
    sums: Floats = (mask[:, np.newaxis].astype(np.float32) @ hidden)[:, 0]
    return [normalize(each) for each in sums]


class OnnxEmbedder(LocalEmbedder):
    def __init__(self, folder: Path = FOLDER, *, threads: int = 2, cache_size: int = 4096) -> None:
        super().__init__(f"onnx:{NAME}", DIMENSIONS, LoadedModel(folder), threads=threads, cache_size=cache_size)


def _register_model() -> None:
    """fastembed refuses to register a name twice."""
    if any(model["model"] == NAME for model in TextEmbedding.list_supported_models()):
        return
    TextEmbedding.add_custom_model(
        model=NAME,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(url="file:shipped"),
        dim=DIMENSIONS,
        model_file="model.onnx",
    )
