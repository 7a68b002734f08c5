"""What models in this process share: a queue for questions and one for texts, in which projects take turns.

A text is embedded immediately if a thread is free. Texts that arrive while all threads are busy share the next run. A
long text takes several turns.
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
from typing import Protocol, TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.core.fair_queue import FairQueue
from app.core.ports import MAX_PIECES, Purpose, Vector

MAX_PIECE_TOKENS = 256
"""The length that MiniLM was trained for, [CLS] and [SEP] included."""
MAX_CHARACTERS_PER_TOKEN = 8
"""More than a token has on average in any language. What is beyond is not even tokenized."""
MAX_BATCH_TEXTS = 16
MAX_BATCH_TOKENS = 256
"""The limit of one batch and of one run of the model: about 25 ms of work."""

Floats: TypeAlias = NDArray[np.float32]


class LocalModel(Protocol):
    def embed_step(self, texts: Sequence["TextEmbeddingState"]) -> None:
        """Continue these embeddings with about `MAX_BATCH_TOKENS` tokens, so that other tenants have their turn."""


@dataclass(slots=True)
class TextEmbeddingState:
    """A text whose embedding may take several steps."""

    text: str
    max_pieces: int = MAX_PIECES
    pieces: list[Sequence[int]] | None = None
    """The tokens of the pieces that remain. None before the text is tokenized."""
    total: Floats = field(default_factory=lambda: np.zeros(1, np.float32))

    @property
    def readable_part(self) -> str:
        """Cut before it costs: tokenizing 90,000 characters takes 0.1 s."""
        return self.text[: self.max_pieces * MAX_PIECE_TOKENS * MAX_CHARACTERS_PER_TOKEN]

    @property
    def is_complete(self) -> bool:
        return self.pieces == []

    @property
    def vector(self) -> Floats:
        return normalize(self.total)

    def add_remaining(self, ids: Sequence[int]) -> None:
        assert self.pieces is not None
        self.pieces.append(ids)


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


class LocalEmbedder:
    def __init__(self, name: str, dimensions: int, model: LocalModel, *, threads: int, cache_size: int) -> None:
        self.name = name
        self.dimensions = dimensions
        self._model = model
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


def normalize(vector: Floats) -> Floats:
    length = max(float(np.linalg.norm(vector)), 1e-12)
    return np.divide(vector, length, dtype=np.float32)
