"""Embeddings from the shipped model in this process, without downloads or network.

`fastembed` loads the model. Inference and pooling are done here, without its Python overhead (0.3 ms of 1.7 ms). A text
is embedded immediately if a thread is free. Texts that arrive while all threads are busy share the next run, in which
projects take turns. A long text takes several turns.
"""

import asyncio
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from numpy.typing import NDArray

from app.core.fair_queue import FairQueue
from app.core.ports import MAX_PIECES, Purpose, Vector

FOLDER = Path(__file__).parent.parent.parent / "models" / "all-MiniLM-L6-v2-int8-static"
NAME = "all-MiniLM-L6-v2-int8-static"
DIMENSIONS = 384
MAX_PIECE_TOKENS = 256
"""The length the model was trained for, [CLS] and [SEP] included."""
MAX_CHARACTERS_PER_TOKEN = 8
"""More than a token has on average in any language. What is beyond is not even tokenized."""
MAX_BATCH_TEXTS = 16
MAX_BATCH_TOKENS = 256
"""The limit of one batch and of one run of the model: about 25 ms of work."""
RUN_OVERHEAD_TOKENS = 8
"""The fixed cost of a run, in tokens: up to this much padding costs less than another run."""

Floats: TypeAlias = NDArray[np.float32]


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

    def embed_step(self, texts: Sequence["TextEmbeddingState"]) -> None:
        """Continue these embeddings with about `MAX_BATCH_TOKENS` tokens, so that other tenants have their turn."""
        self._tokenize([each for each in texts if each.pieces is None])
        batches = batch_pieces([Piece(row, ids) for row, each in enumerate(texts) for ids in each.pieces or ()])
        for each in texts:
            each.pieces = []
        spent = 0
        for batch in batches:
            if spent >= MAX_BATCH_TOKENS:
                for piece in batch:
                    texts[piece.text].add_remaining(piece)
                continue
            spent += len(batch) * len(batch[-1].ids)
            for piece, vector in zip(batch, _run_model(self._session, batch), strict=True):
                texts[piece.text].total += vector * len(piece.ids)

    def _tokenize(self, texts: Sequence["TextEmbeddingState"]) -> None:
        # a lone surrogate, which JSON may contain, would make the whole batch fail
        encodable = [each.readable_part.encode(errors="replace").decode() for each in texts]
        for each, encoding in zip(texts, self._tokenizer.encode_batch(encodable), strict=True):
            each.pieces = [piece.ids for piece in (encoding, *encoding.overflowing)][: each.max_pieces]


@dataclass(slots=True)
class TextEmbeddingState:
    """A text whose embedding may take several steps."""

    text: str
    max_pieces: int = MAX_PIECES
    pieces: list[Sequence[int]] | None = None
    """The tokens of the pieces that remain. None before the text is tokenized."""
    total: Floats = field(default_factory=lambda: np.zeros(DIMENSIONS, np.float32))

    @property
    def readable_part(self) -> str:
        """Cut before it costs: tokenizing 90,000 characters takes 0.1 s."""
        return self.text[: self.max_pieces * MAX_PIECE_TOKENS * MAX_CHARACTERS_PER_TOKEN]

    @property
    def is_complete(self) -> bool:
        return self.pieces == []

    @property
    def vector(self) -> Floats:
        return _normalize(self.total)

    def add_remaining(self, piece: "Piece") -> None:
        assert self.pieces is not None
        self.pieces.append(piece.ids)


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
    return [_normalize(each) for each in sums]


TextKey: TypeAlias = tuple[Purpose, UUID | None, bytes]
"""Two tenants with the same text do not wait for each other."""


@dataclass(frozen=True, slots=True)
class PendingText:
    key: TextKey
    embedding: TextEmbeddingState
    vector: asyncio.Future[Floats]

    @property
    def estimated_tokens(self) -> int:
        remaining = self.embedding.pieces
        length = len(self.embedding.text) // 4 if remaining is None else sum(map(len, remaining))
        return min(MAX_BATCH_TOKENS, 3 + length)


class EmbeddingQueue:
    """Texts of one purpose and the threads that embed them, so that a query never waits for an import."""

    def __init__(self, threads: int, name: str, initializer: Callable[[], None] | None = None) -> None:
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=initializer)
        self.pending: FairQueue[PendingText] = FairQueue()
        self.free_threads = threads

    def next_batch(self) -> Iterator[PendingText]:
        tokens = 0
        for _ in range(MAX_BATCH_TEXTS):
            if not self.pending:
                return
            tokens += self.pending.peek().estimated_tokens
            if tokens > MAX_BATCH_TOKENS:
                return
            yield self.pending.pop()


class OnnxEmbedder:
    name = f"onnx:{NAME}"
    dimensions = DIMENSIONS

    def __init__(self, folder: Path = FOLDER, *, threads: int = 2, cache_size: int = 4096) -> None:
        self._model = LoadedModel(folder)
        # One thread is enough for all queries of a process. With two, fewer texts would share a run.
        self._queries = EmbeddingQueue(1, "embed-query")
        self._documents = EmbeddingQueue(threads, "embed", lower_thread_priority)
        self._in_progress: dict[TextKey, asyncio.Future[Floats]] = {}
        self._cache: OrderedDict[bytes, Floats] = OrderedDict()
        self._cache_size = cache_size

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        queue = self._queries if purpose is Purpose.QUERY else self._documents
        found = [self._lookup_or_queue(text, queue, purpose, tenant) for text in texts]
        self._start(queue)
        running = [each for each in found if isinstance(each, asyncio.Future)]
        if running:
            await asyncio.wait(running)  # not gather, which would cancel futures that other callers wait for
        return [(each.result() if isinstance(each, asyncio.Future) else each).tolist() for each in found]

    async def close(self) -> None:
        for queue in (self._queries, self._documents):
            await asyncio.get_running_loop().run_in_executor(None, queue.threads.shutdown)

    def _lookup_or_queue(
        self, text: str, queue: EmbeddingQueue, purpose: Purpose, tenant: UUID | None
    ) -> Floats | asyncio.Future[Floats]:
        fits_one_piece = len(text) <= MAX_PIECE_TOKENS - 2
        max_pieces = 1 if fits_one_piece or purpose is Purpose.QUERY else MAX_PIECES
        # the cache does not contain texts
        digest = blake2b(text.encode(errors="surrogatepass"), digest_size=16, key=bytes([max_pieces])).digest()
        if digest in self._cache:
            self._cache.move_to_end(digest)
            return self._cache[digest]
        key = (purpose, tenant, digest)
        if key not in self._in_progress:
            self._in_progress[key] = asyncio.get_running_loop().create_future()
            queue.pending.put(tenant, PendingText(key, TextEmbeddingState(text, max_pieces), self._in_progress[key]))
        return self._in_progress[key]

    def _start(self, queue: EmbeddingQueue) -> None:
        """Give every free thread a batch of pending texts."""
        while queue.free_threads and queue.pending:
            batch = list(queue.next_batch())
            step = partial(self._model.embed_step, [each.embedding for each in batch])
            queue.free_threads -= 1
            run = asyncio.get_running_loop().run_in_executor(queue.threads, step)
            run.add_done_callback(lambda done, batch=batch: self._finish(queue, batch, done))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

    def _finish(self, queue: EmbeddingQueue, batch: Sequence[PendingText], done: asyncio.Future[None]) -> None:
        queue.free_threads += 1
        failure = done.exception()
        for each in batch:
            if failure is None and not each.embedding.is_complete:
                queue.pending.put_back(each.key[1], each)
                continue
            del self._in_progress[each.key]
            if failure is not None:
                each.vector.set_exception(failure)
                each.vector.exception()  # consumed, in case no caller waits any more
            else:
                self._add_to_cache(each.key[2], each.embedding.vector)
                each.vector.set_result(each.embedding.vector)
        self._start(queue)

    def _add_to_cache(self, key: bytes, vector: Floats) -> None:
        self._cache[key] = vector
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)


def lower_thread_priority() -> None:
    """Requests take precedence over texts that are only indexed."""
    if sys.platform == "linux":  # Linux has a priority per thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)


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


def _normalize(vector: Floats) -> Floats:
    length = max(float(np.linalg.norm(vector)), 1e-12)
    return np.divide(vector, length, dtype=np.float32)
