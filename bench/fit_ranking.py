"""Fits the weights of app/memory/recall/ranking.py and evaluates them on conversations they were not fitted on.

`python -m bench.fit_ranking --data FILE` prints evidence recall with each conversation judged by weights of the others,
the same without each group of features, and the weights fitted on all of them.
"""

import argparse
import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.adapters.models.multilingual.use import open_multilingual_embedder
from app.adapters.models.onnx import OnnxEmbedder
from app.core.ports import Embedder, EmbedderChoice
from app.core.text.times.read_times import read_times
from app.memory.embedders import on_default_scale
from app.memory.ledger import Kind
from app.memory.recall import FEATURES, compute_features
from bench.conversations import load, memories
from bench.exact import ExactNamespace

Floats = NDArray[np.float64]
PENALTY = 0.05
AT = 10
GROUPS = {
    "nothing": (),
    "similarity": FEATURES[0:1],
    "bm25": FEATURES[5:6],
    "neighbours": (*FEATURES[1:5], *FEATURES[6:10]),
    "subject": ("subject",),
    "time": ("time",),
    "questions": ("asks", "answers"),
}


@dataclass(frozen=True, slots=True)
class Case:
    conversation: str
    evidence: frozenset[str]
    covers: Sequence[frozenset[str]]
    """Per candidate, the turns that count as found with it."""
    table: Floats

    @property
    def hits(self) -> Floats:
        return np.array([float(bool(self.evidence & turns)) for turns in self.covers])

    def recall(self, weights: Floats) -> float:
        best = np.argsort(-(self.table @ weights), kind="stable")[:AT]
        seen = frozenset[str]().union(*(self.covers[place] for place in best))
        return len(self.evidence & seen) / len(self.evidence)


async def open_embedder(chosen: EmbedderChoice) -> Embedder:
    return await open_multilingual_embedder() if chosen is EmbedderChoice.MULTILINGUAL else OnnxEmbedder()


async def gather(path: Path, kind: Kind, limit: int, chosen: EmbedderChoice) -> list[Case]:
    embedder, cases = await open_embedder(chosen), []
    for conversation in load(path):
        known = memories(conversation, kind)
        turns = {each.memory.id: each.turns for each in known}
        namespace = await ExactNamespace.remember(embedder, [each.memory for each in known])
        for asked in conversation["questions"]:
            found = [
                each._replace(similarity=on_default_scale(chosen, each.similarity or 0.0))
                for each in await namespace.candidates(embedder, asked["question"], limit)
            ]
            covers = [turns[each.id] for each in found]
            times = read_times(asked["question"], dt.datetime.now(dt.UTC))
            table = compute_features(asked["question"], found, times)
            cases.append(Case(conversation["id"], frozenset(asked["evidence"]), covers, table))
    await embedder.close()
    return cases


def fit(cases: Sequence[Case]) -> Floats:
    """Newton's method on the chance that the model, picking one candidate by softmax, picks evidence."""
    usable = [(case.table, case.hits) for case in cases if case.hits.any()]
    spread: Floats = np.concatenate([table for table, _ in usable]).std(axis=0)
    spread[spread == 0] = 1.0
    weights: Floats = np.zeros(len(FEATURES))
    for _ in range(30):
        step = _newton_step(usable, weights, spread)
        # Far from the optimum a full step can overshoot.
        while np.abs(step).max() > 1e-6 and _loss(usable, weights - step, spread) > _loss(usable, weights, spread):
            step = step / 2
        weights = weights - step
        if np.abs(step).max() < 1e-4:
            break
    fitted: Floats = weights / spread
    return fitted


def _loss(usable: Sequence[tuple[Floats, Floats]], weights: Floats, spread: Floats) -> float:
    total = 0.0
    for table, hits in usable:
        logits = table @ (weights / spread)
        total += float(np.logaddexp.reduce(logits) - hits @ logits / hits.sum())
    return total / len(usable) + PENALTY * float(weights @ weights) / 2


def _newton_step(usable: Sequence[tuple[Floats, Floats]], weights: Floats, spread: Floats) -> Floats:
    slope, bend = PENALTY * weights, PENALTY * np.eye(len(weights))
    for table, hits in usable:
        scaled = table / spread
        chances: Floats = np.exp(scaled @ weights - (scaled @ weights).max())
        chances /= chances.sum()
        mean: Floats = chances @ scaled
        slope = slope + (mean - (hits / hits.sum()) @ scaled) / len(usable)
        bend = bend + ((scaled * chances[:, None]).T @ scaled - np.outer(mean, mean)) / len(usable)
    step: Floats = np.asarray(np.linalg.solve(bend, slope), dtype=np.float64)
    return step


def calibrate(cases: Sequence[Case], weights: Floats) -> tuple[float, float]:
    """Scale and base that turn the score into a probability, assuming as much evidence as noise."""
    logits = np.concatenate([case.table @ weights for case in cases])
    hits = np.concatenate([case.hits for case in cases])
    share = np.where(hits > 0, 0.5 / hits.sum(), 0.5 / (1 - hits).sum())
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    line = np.zeros(2)
    for _ in range(50):
        chances = 1 / (1 + np.exp(-(design @ line)))
        bend = (design * (share * chances * (1 - chances))[:, None]).T @ design
        line = line - np.linalg.solve(bend, design.T @ (share * (chances - hits)))
    return float(line[0]), float(line[1])


def judge_unseen(cases: Sequence[Case]) -> float:
    """Mean recall, each conversation evaluated with weights fitted on the others."""
    recalls: list[float] = []
    for name in sorted({case.conversation for case in cases}):
        weights = fit([case for case in cases if case.conversation != name])
        recalls += [case.recall(weights) for case in cases if case.conversation == name]
    return float(np.mean(recalls))


def without(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    kept = np.array([float(name not in names) for name in FEATURES])
    return [Case(case.conversation, case.evidence, case.covers, case.table * kept) for case in cases]


def report(kind: Kind, cases: Sequence[Case]) -> None:
    for group, names in GROUPS.items():
        print(f"{kind} R@{AT}, conversations not fitted on, without {group}: {judge_unseen(without(cases, names)):.4f}")
    weights = fit(cases)
    scale, base = calibrate(cases, weights)
    print(f"{kind} R@{AT}, the conversations fitted on: {np.mean([case.recall(weights) for case in cases]):.4f}")
    scores = np.concatenate([1 / (1 + np.exp(-(case.table @ weights * scale + base))) for case in cases])
    hits = np.concatenate([case.hits for case in cases]) > 0
    print(
        f"{kind} below 0.1: {np.mean(scores[hits] < 0.1):.3f} of evidence, {np.mean(scores[~hits] < 0.1):.3f} of others"
    )
    print(f"base {base:.2f}")
    for name, weight in zip(FEATURES, weights * scale, strict=True):
        print(f"        {weight:.3f},  # {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--embedder", type=EmbedderChoice, choices=EmbedderChoice, default=EmbedderChoice.ENGLISH)
    arguments = parser.parse_args()
    for kind in Kind:
        report(kind, asyncio.run(gather(arguments.data, kind, arguments.candidates, arguments.embedder)))


if __name__ == "__main__":
    main()
