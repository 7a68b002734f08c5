"""Embeddings from the shipped model, in this process: nothing is downloaded and nobody else is asked.

`fastembed` loads the model; running it and pooling are done here, without its Python overhead (0.3 ms of 1.7). Texts
that wait while every thread is busy go to the next free one together: alone nobody waits, a crowd shares hops and runs.
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
LONGEST = 256
"""Tokens the model was trained to read, [CLS] and [SEP] included."""
MOST_TEXTS = 16
MOST_TOKENS = 256
"""For a thread to take at once and for the model to read in one run, about 25 ms of work."""
CALL = 8
"""What running the model costs beside its tokens, in tokens: so much padding takes less than another run."""

Floats: TypeAlias = NDArray[np.float32]


class LoadedModel:
    """The model and its tokenizer. Called from several threads at once: neither keeps state between calls."""

    def __init__(self, folder: Path) -> None:
        _register()
        loaded: Any = TextEmbedding(
            NAME,
            specific_model_path=str(folder),
            cache_dir=str(folder),  # never used, but made: this one exists
            threads=1,  # a second one waits for what else there is to do, and the first waits for it
            providers=["CPUExecutionProvider"],
        ).model
        self._session = loaded.model  # fastembed's types know neither of the two
        self._tokenizer = loaded.tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=LONGEST)  # what is cut off is kept as further pieces

    def embed(self, texts: Sequence[str]) -> list[Floats]:
        """Unit vectors: of a text's pieces, weighed by length."""
        # half a surrogate pair, which JSON can carry, would fail whoever's text is beside it
        whole = [text.encode(errors="replace").decode() for text in texts]
        sums = np.zeros((len(texts), DIMENSIONS), np.float32)
        for batch in in_batches(pieces_of(self._tokenizer.encode_batch(whole))):
            for piece, vector in zip(batch, _run(self._session, batch), strict=True):
                sums[piece.text] += vector * len(piece.ids)
        return [_normalised(each) for each in sums]


@dataclass(frozen=True, slots=True)
class Piece:
    text: int
    """Which of the texts it belongs to."""
    ids: Sequence[int]


def pieces_of(texts: Sequence[Encoding]) -> list[Piece]:
    return [Piece(row, each.ids) for row, text in enumerate(texts) for each in (text, *text.overflowing)]


def in_batches(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """For a run each, the shortest first: a longer one joins where padding the others costs less than another run."""
    batch: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: len(piece.ids)):
        padding = (len(piece.ids) - len(batch[-1].ids)) * len(batch) if batch else 0
        if batch and (padding > CALL or len(piece.ids) * (len(batch) + 1) > MOST_TOKENS):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _run(session: Any, batch: Sequence[Piece]) -> list[Floats]:
    ids = np.zeros((len(batch), len(batch[-1].ids)), dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=np.int32)
    for row, piece in enumerate(batch):
        ids[row, : len(piece.ids)], mask[row, : len(piece.ids)] = piece.ids, 1
    [hidden] = session.run(None, {"input_ids": ids, "attention_mask": mask})
    sums: Floats = (mask[:, np.newaxis].astype(np.float32) @ hidden)[:, 0]
    return [_normalised(each) for each in sums]


@dataclass(frozen=True, slots=True)
class Waiting:
    text: str
    key: bytes
    vector: asyncio.Future[Floats]


class Lane:
    """Texts of one purpose and the threads that take them, so that no question waits for somebody's import."""

    def __init__(self, threads: int, name: str, begin: Callable[[], None] | None = None) -> None:
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=begin)
        self.waiting: deque[Waiting] = deque()
        self.free = threads

    def next_batch(self) -> Iterator[Waiting]:
        tokens = 0
        for _ in range(min(MOST_TEXTS, len(self.waiting))):
            tokens += min(LONGEST, 3 + len(self.waiting[0].text) // 4)
            if tokens > MOST_TOKENS:
                return
            yield self.waiting.popleft()


class OnnxEmbedder:
    name = f"onnx:{NAME}"
    dimensions = DIMENSIONS

    def __init__(self, folder: Path = FOLDER, *, threads: int = 2, remember: int = 4096) -> None:
        self._model = LoadedModel(folder)
        # One is enough for as many as a process can answer. Two leave each other fewer texts to read in one run.
        self._questions = Lane(1, "embed-question")
        self._rest = Lane(threads, "embed", step_back)
        self._under_way: dict[bytes, asyncio.Future[Floats]] = {}
        self._known: OrderedDict[bytes, Floats] = OrderedDict()
        self._remember = remember

    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:
        lane = self._questions if purpose is Purpose.QUERY else self._rest
        found = [self._ask(text, lane) for text in texts]
        self._start(lane)
        pending = [each for each in found if isinstance(each, asyncio.Future)]
        if pending:
            await asyncio.wait(pending)  # and not gather: others may wait for the same vector when this caller leaves
        return [(each.result() if isinstance(each, asyncio.Future) else each).tolist() for each in found]

    async def close(self) -> None:
        for lane in (self._questions, self._rest):
            await asyncio.get_running_loop().run_in_executor(None, lane.threads.shutdown)

    def _ask(self, text: str, lane: Lane) -> Floats | asyncio.Future[Floats]:
        key = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()  # the text itself is not kept
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if key not in self._under_way:
            self._under_way[key] = asyncio.get_running_loop().create_future()
            lane.waiting.append(Waiting(text, key, self._under_way[key]))
        return self._under_way[key]

    def _start(self, lane: Lane) -> None:
        """Give every free thread what waits."""
        while lane.free and lane.waiting:
            batch = list(lane.next_batch())
            embed = partial(self._model.embed, [each.text for each in batch])
            lane.free -= 1
            run = asyncio.get_running_loop().run_in_executor(lane.threads, embed)
            run.add_done_callback(lambda done, batch=batch: self._finish(lane, batch, done))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

    def _finish(self, lane: Lane, batch: Sequence[Waiting], done: asyncio.Future[list[Floats]]) -> None:
        lane.free += 1
        failure = done.exception()
        for row, each in enumerate(batch):
            del self._under_way[each.key]
            if failure is not None:
                each.vector.set_exception(failure)
                each.vector.exception()  # looked at here, in case nobody waits any more
            else:
                self._keep(each.key, done.result()[row])
                each.vector.set_result(done.result()[row])
        self._start(lane)

    def _keep(self, key: bytes, vector: Floats) -> None:
        self._known[key] = vector
        while len(self._known) > self._remember:
            self._known.popitem(last=False)


def step_back() -> None:
    """What is only on its way into the index lets requests go first."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)


def _register() -> None:
    """fastembed refuses a name it has already."""
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


def _normalised(vector: Floats) -> Floats:
    length = max(float(np.linalg.norm(vector)), 1e-12)
    return np.divide(vector, length, dtype=np.float32)
