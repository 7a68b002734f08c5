"""Embeddings from the shipped model, in this process: nothing is downloaded and nobody else is asked.

`fastembed` loads the model; running it and pooling are done here, without its Python overhead (0.3 ms of 1.7). Texts
that wait while every thread is busy go to the next free one together: alone nobody waits, a crowd shares the hops.
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
import onnxruntime
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from numpy.typing import NDArray
from tokenizers import Encoding

from app.core.ports import Purpose, Vector

FOLDER = Path(__file__).parent.parent / "models" / "all-MiniLM-L6-v2-int8"
NAME = "all-MiniLM-L6-v2-int8"
DIMENSIONS = 384
LONGEST = 256
"""Tokens the model was trained to read, [CLS] and [SEP] included."""
MOST_TEXTS = 16
MOST_TOKENS = 256
"""For a thread to take at once, about 25 ms of work."""

Floats: TypeAlias = NDArray[np.float32]


class LoadedModel:
    """The model and its tokenizer. Called from several threads at once: neither keeps state between calls."""

    def __init__(self, folder: Path) -> None:
        _register()
        loaded: Any = TextEmbedding(
            NAME,
            specific_model_path=str(folder),
            cache_dir=str(folder),  # never used, but made: this one exists
            threads=1,  # two texts on a thread each take less than one text on two threads, twice
            providers=["CPUExecutionProvider"],
        ).model
        self._session = loaded.model  # fastembed's types know neither of the two
        self._quick = _on_two_threads(folder)
        self._tokenizer = loaded.tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=LONGEST)  # what is cut off is kept as further pieces

    def embed(self, texts: Sequence[str], *, quickly: bool = False) -> list[Floats]:
        """Quickly is on two threads, which takes less time and more work; the vectors are the same to the bit."""
        # half a surrogate pair, which JSON can carry, would fail whoever's text is beside it
        whole = [text.encode(errors="replace").decode() for text in texts]
        session = self._quick if quickly else self._session
        return [self._embed(session, encoded) for encoded in self._tokenizer.encode_batch(whole)]

    def _embed(self, session: Any, encoded: Encoding) -> Floats:
        """A unit vector: that of the text's pieces, weighed by their length, averaged and normalised again."""
        pieces = [encoded, *encoded.overflowing]
        return _normalised(
            np.sum([self._run(session, piece) * len(piece) for piece in pieces], axis=0, dtype=np.float32)
        )

    def _run(self, session: Any, piece: Encoding) -> Floats:
        """Alone, because int8 scales are taken over a whole batch: a text's vector would depend on its neighbours."""
        ids = np.array([piece.ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden: Floats = session.run(None, inputs)[0][0]
        return _normalised(hidden.mean(axis=0))


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
        self.free = self._most = threads

    def idle(self) -> bool:
        return self.free == self._most and not self.waiting

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
        self._questions = Lane(threads, "embed-question")
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
            alone = lane is self._questions and len(batch) == 1 and lane.idle() and self._rest.idle()
            embed = partial(self._model.embed, [each.text for each in batch], quickly=alone)
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


def _on_two_threads(folder: Path) -> Any:
    """They wait for each other's part by looking, not by sleeping, and stop looking when it is done."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])


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
