"""Embeddings from the shipped model in this process, without downloads or network.

`fastembed` loads the model. Inference and pooling are done here, without its Python overhead (0.3 ms of 1.7 ms). A text
is embedded immediately if a thread is free. Texts that arrive while all threads are busy share the next run.
"""

import asyncio
import os
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from numpy.typing import NDArray
from tokenizers import Encoding

from app.core.ports import Purpose, Vector

FOLDER = Path(__file__).parent.parent.parent / "models" / "all-MiniLM-L6-v2-int8-static"
NAME = "all-MiniLM-L6-v2-int8-static"
DIMENSIONS = 384
MAX_PIECE_TOKENS = 256
"""The length the model was trained for, [CLS] and [SEP] included."""
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
        # a lone surrogate, which JSON may contain, would make the whole batch fail
        encodable = [text.encode(errors="replace").decode() for text in texts]
        sums = np.zeros((len(texts), DIMENSIONS), np.float32)
        for batch in batch_pieces(split_into_pieces(self._tokenizer.encode_batch(encodable))):
            for piece, vector in zip(batch, _run_model(self._session, batch), strict=True):
                sums[piece.text] += vector * len(piece.ids)
        return [_normalize(each) for each in sums]


@dataclass(frozen=True, slots=True)
class Piece:
    text: int
    """The index of its text."""
    ids: Sequence[int]


def split_into_pieces(texts: Sequence[Encoding]) -> list[Piece]:
    return [Piece(row, each.ids) for row, text in enumerate(texts) for each in (text, *text.overflowing)]


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


@dataclass(frozen=True, slots=True)
class PendingText:
    text: str
    key: bytes
    vector: asyncio.Future[Floats]


class EmbeddingQueue:
    """Texts of one purpose and the threads that embed them, so that a query never waits for an import."""

    def __init__(self, threads: int, name: str, initializer: Callable[[], None] | None = None) -> None:
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=initializer)
        self.pending: deque[PendingText] = deque()
        self.free_threads = threads

    def next_batch(self) -> Iterator[PendingText]:
        tokens = 0
        for _ in range(min(MAX_BATCH_TEXTS, len(self.pending))):
            tokens += min(MAX_PIECE_TOKENS, 3 + len(self.pending[0].text) // 4)
            if tokens > MAX_BATCH_TOKENS:
                return
            yield self.pending.popleft()


class OnnxEmbedder:
    name = f"onnx:{NAME}"
    dimensions = DIMENSIONS

    def __init__(self, folder: Path = FOLDER, *, threads: int = 2, cache_size: int = 4096) -> None:
        self._model = LoadedModel(folder)
        # One thread is enough for all queries of a process. With two, fewer texts would share a run.
        self._queries = EmbeddingQueue(1, "embed-query")
        self._documents = EmbeddingQueue(threads, "embed", lower_thread_priority)
        self._in_progress: dict[bytes, asyncio.Future[Floats]] = {}
        self._cache: OrderedDict[bytes, Floats] = OrderedDict()
        self._cache_size = cache_size

    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:
        queue = self._queries if purpose is Purpose.QUERY else self._documents
        found = [self._lookup_or_queue(text, queue) for text in texts]
        self._start(queue)
        running = [each for each in found if isinstance(each, asyncio.Future)]
        if running:
            await asyncio.wait(running)  # not gather, which would cancel futures that other callers wait for
        return [(each.result() if isinstance(each, asyncio.Future) else each).tolist() for each in found]

    async def close(self) -> None:
        for queue in (self._queries, self._documents):
            await asyncio.get_running_loop().run_in_executor(None, queue.threads.shutdown)

    def _lookup_or_queue(self, text: str, queue: EmbeddingQueue) -> Floats | asyncio.Future[Floats]:
        key = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()  # the cache does not contain texts
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        if key not in self._in_progress:
            self._in_progress[key] = asyncio.get_running_loop().create_future()
            queue.pending.append(PendingText(text, key, self._in_progress[key]))
        return self._in_progress[key]

    def _start(self, queue: EmbeddingQueue) -> None:
        """Give every free thread a batch of pending texts."""
        while queue.free_threads and queue.pending:
            batch = list(queue.next_batch())
            embed = partial(self._model.embed, [each.text for each in batch])
            queue.free_threads -= 1
            run = asyncio.get_running_loop().run_in_executor(queue.threads, embed)
            run.add_done_callback(lambda done, batch=batch: self._finish(queue, batch, done))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

    def _finish(self, queue: EmbeddingQueue, batch: Sequence[PendingText], done: asyncio.Future[list[Floats]]) -> None:
        queue.free_threads += 1
        failure = done.exception()
        for row, each in enumerate(batch):
            del self._in_progress[each.key]
            if failure is not None:
                each.vector.set_exception(failure)
                each.vector.exception()  # consumed, in case no caller waits any more
            else:
                self._add_to_cache(each.key, done.result()[row])
                each.vector.set_result(done.result()[row])
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
