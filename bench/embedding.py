"""The cost of an embedding: `python -m bench.embedding [--original FILE]`.

With the file that the shipped model was made from, that one is measured in turn with it and as it had to be run: each
text alone, because its scales are taken over a batch.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from app.adapters.models.local_embedder import MAX_BATCH_TEXTS
from app.adapters.models.onnx import FOLDER, LoadedModel
from bench.corpus import sentences

TEXTS, ROUNDS, THREADS = 192, 15, 2
Embed = Callable[[Sequence[str]], object]


class OriginalModel:
    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> object:
        return [self._run(each.ids) for each in self._tokenizer.encode_batch(list(texts))]

    def _run(self, tokens: Sequence[int]) -> object:
        ids = np.array([tokens])
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = self._session.run(None, inputs)[0][0].mean(axis=0)
        return mean / np.linalg.norm(mean)


def alone(embed: Embed, texts: Sequence[str]) -> None:
    for text in texts:
        embed([text])


def imported(pool: ThreadPoolExecutor, embed: Embed, texts: Sequence[str]) -> None:
    list(pool.map(embed, (texts[start : start + MAX_BATCH_TEXTS] for start in range(0, len(texts), MAX_BATCH_TEXTS))))


def cost(embed: Embed, texts: Sequence[str]) -> tuple[float, float]:
    """CPU and wall time in milliseconds per text."""
    cpu, wall = time.process_time(), time.perf_counter()
    embed(texts)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return spent[0] * 1000 / len(texts), spent[1] * 1000 / len(texts)


def ways(name: str, embed: Embed, pool: ThreadPoolExecutor) -> dict[str, Embed]:
    together = partial(imported, pool, embed)
    return {f"{name}, alone": partial(alone, embed), f"{name}, {MAX_BATCH_TEXTS} a thread, {THREADS} threads": together}


def measure(asked: dict[str, Embed]) -> None:
    texts = list(itertools.islice(sentences(3), TEXTS))
    rounds = [{way: cost(embed, texts) for way, embed in asked.items()} for _ in range(ROUNDS)]
    for way in asked:
        cpu, wall = (statistics.median(each[way][which] for each in rounds) for which in (0, 1))
        print(f"{way:36} cpu {cpu:5.2f}  wall {wall:5.2f} ms a text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--original", type=Path)
    original = parser.parse_args().original
    shipped = LoadedModel(FOLDER)
    with ThreadPoolExecutor(THREADS) as pool:
        asked = ways("shipped", shipped.embed, pool)
        if original:
            asked |= ways("original", OriginalModel(original).embed, pool)
        measure(asked)


if __name__ == "__main__":
    main()
