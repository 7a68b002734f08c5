"""Fits the weights of app/memory/recall/calibration.py and evaluates them on conversations they were not fitted on.

`python -m bench.fit_calibration --data FOLDER [--plot FILE]` prints the weights fitted on everything, the shares of
questions for which anything is returned, and how far scores are from the share that fits; `--plot` draws the latter.
"""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.adapters.models.onnx import OnnxEmbedder
from app.memory.recall.calibration import (
    ANSWERABLE_LOGIT,
    LIST_WEIGHTS,
    MEMORY_WEIGHTS,
    memory_features,
    probabilities,
)
from bench.calibration_sets import Case, Sets

Floats = NDArray[np.float64]
WEIGHTS = {
    "told": 4.0,
    "others": 4.0,
    "generic": 1.5,
    "few without": 0.3,
    "my without": 0.3,
    "language": 0.5,
    "beliefs": 8.0,
    "beam": 4.0,
}
"""Of the sets whose names begin like this; others have a weight of 1. Whole conversations and the sets that are not
LoCoMo's count more, because they are few, and another language says little about English."""
PENALTY = 1e-4
LONG = ("told", "others")
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SIZE, MARGIN = 320, 50
AXIS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Scored:
    case: Case
    weight: float
    list_logit: float
    scores: Floats


@dataclass(frozen=True, slots=True)
class Bin:
    score: float
    share: float
    """How many of the memories with such scores fit."""
    weight: float


def weigh(cases: Sequence[Case]) -> Floats:
    """Every set weighs the same, however many questions it has, times its entry in `WEIGHTS`."""
    sizes = Counter(case.set for case in cases)
    factors = {name: next((WEIGHTS[each] for each in WEIGHTS if name.startswith(each)), 1.0) for name in sizes}
    return np.array([factors[case.set] / sizes[case.set] for case in cases])


def logistic_regression(table: Floats, hits: Floats, weights: Floats) -> Floats:
    """Newton's method. The first column is 1 and not penalized; the others are, by their spread."""
    spread: Floats = table.std(axis=0)
    spread[spread == 0] = 1.0
    scaled = table / spread
    ridge = PENALTY * weights.sum() * np.array([0.0, *[1.0] * (table.shape[1] - 1)])
    line: Floats = np.zeros(table.shape[1])
    for _ in range(40):
        chances = probabilities(scaled @ line)
        bend = (scaled * (weights * chances * (1 - chances))[:, None]).T @ scaled + np.diag(ridge)
        slope = scaled.T @ (weights * (chances - hits)) + ridge * line
        step: Floats = np.asarray(np.linalg.solve(bend, slope), dtype=np.float64)
        line = line - step
        if np.abs(step).max() < 1e-6:
            break
    fitted: Floats = line / spread
    return fitted


def fit_lists(cases: Sequence[Case], weights: Floats) -> Floats:
    """On English questions only, because others are never unanswerable: their words say little."""
    used = [place for place, case in enumerate(cases) if case.english]
    table = np.stack([cases[place].features for place in used])
    return logistic_regression(table, np.array([float(cases[place].answerable) for place in used]), weights[used])


def fit_memories(cases: Sequence[Case], logits: Floats, weights: Floats) -> Floats:
    tables = [memory_table(case, logit) for case, logit in zip(cases, logits.tolist(), strict=True)]
    each_weight = np.repeat(weights, [len(table) for table in tables])
    hits = np.concatenate([case.hits for case in cases])
    return logistic_regression(np.concatenate(tables), hits, each_weight)


def memory_table(case: Case, list_logit: float) -> Floats:
    return memory_features(case.logits, list_logit, case.candidates)


def judge_unseen(cases: Sequence[Case], weights: Floats) -> tuple[Floats, list[Floats]]:
    """The logit of each list and the scores of its memories, by weights of other conversations."""
    seen = sorted({case.conversation for case in cases})
    logits: Floats = np.zeros(len(cases))
    for name in seen:
        others, own = _without(cases, name), _of(cases, name)
        line = fit_lists([cases[place] for place in others], weights[others])
        for place in own:
            logit = float(cases[place].features @ line)
            logits[place] = logit if cases[place].english else max(logit, 0.0)
    scores: list[Floats] = [np.zeros(0)] * len(cases)
    for name in seen:
        others = _without(cases, name)
        line = fit_memories([cases[place] for place in others], logits[others], weights[others])
        for place in _of(cases, name):
            scores[place] = probabilities(memory_table(cases[place], logits[place]) @ line)
    return logits, scores


def _of(cases: Sequence[Case], conversation: str) -> list[int]:
    return [place for place, case in enumerate(cases) if case.conversation == conversation]


def _without(cases: Sequence[Case], conversation: str) -> list[int]:
    return [place for place, case in enumerate(cases) if conversation not in (case.conversation, case.asked)]


def reliability(scored: Sequence[Scored]) -> list[Bin]:
    scores = np.concatenate([each.scores for each in scored])
    hits = np.concatenate([each.case.hits for each in scored])
    weights = np.repeat([each.weight for each in scored], [len(each.scores) for each in scored])
    bins = np.digitize(scores, EDGES[1:-1])
    return [
        Bin(
            float(np.average(scores[bins == number], weights=weights[bins == number])),
            float(np.average(hits[bins == number], weights=weights[bins == number])),
            float(weights[bins == number].sum() / weights.sum()),
        )
        for number in sorted(set(bins.tolist()))
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """How far scores are from the share that fits, on average."""
    return sum(each.weight * abs(each.score - each.share) for each in bins)


def draw(bins: Sequence[Bin], place: Callable[[float, float], str]) -> str:
    """An SVG with the mean score to the right and the share that fits upwards."""
    points = [place(each.score, each.share) for each in bins]
    lines = [f'<path d="M{place(at, 0)}L{place(at, 1)}M{place(0, at)}L{place(1, at)}" stroke="#ddd"/>' for at in AXIS]
    numbers = [
        f'<text x="{MARGIN + SIZE * at}" y="{MARGIN + SIZE + 18}" text-anchor="middle">{at:g}</text>'
        f'<text x="{MARGIN - 8}" y="{MARGIN + SIZE * (1 - at) + 4}" text-anchor="end">{at:g}</text>'
        for at in AXIS
    ]
    circles = ['<circle cx="{}" cy="{}" r="3" fill="#06c"/>'.format(*point.split(",")) for point in points]
    middle = MARGIN + SIZE / 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE + 2 * MARGIN} {SIZE + 2 * MARGIN}"'
            ' font-family="sans-serif" font-size="12">',
            "<title>Reliability of scores</title>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *lines,
            *numbers,
            f'<path d="M{place(0, 0)}L{place(1, 1)}" stroke="#999" stroke-dasharray="4"/>',
            f'<polyline points="{" ".join(points)}" fill="none" stroke="#06c" stroke-width="2"/>',
            *circles,
            f'<text x="{middle}" y="{SIZE + 2 * MARGIN - 12}" text-anchor="middle">mean score</text>',
            f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">',
            "share that fits</text>",
            "</svg>\n",
        ]
    )


def on_plot(score: float, share: float) -> str:
    return f"{MARGIN + SIZE * score:.1f},{MARGIN + SIZE * (1 - share):.1f}"


def report(cases: Sequence[Case]) -> list[Bin]:
    weights = weigh(cases)
    logits, scores = judge_unseen(cases, weights)
    show_weights("list", LIST_WEIGHTS._asdict(), fit_lists(cases, weights))
    show_weights("memory", MEMORY_WEIGHTS._asdict(), fit_memories(cases, logits, weights))
    parts = zip(cases, weights.tolist(), logits.tolist(), scores, strict=True)
    scored = [Scored(*each) for each in parts]
    for name in dict.fromkeys(case.set for case in cases):
        of_set = [each for each in scored if each.case.set == name]
        print(f"{name:24} answerable {np.mean([each.list_logit >= ANSWERABLE_LOGIT for each in of_set]):.3f}")
    bins = reliability(scored)
    long = [each for each in scored if each.case.set.startswith(LONG)]
    show_bins("all sets", bins)
    show_bins("long conversations", reliability(long))
    return bins


def show_weights(name: str, shipped: dict[str, float], fitted: Floats) -> None:
    for (feature, now), weight in zip(shipped.items(), fitted.tolist(), strict=True):
        print(f"{name} {feature:24} fitted {weight:7.3f}, shipped {now:7.3f}")


def show_bins(name: str, bins: Sequence[Bin]) -> None:
    print(f"{name}: expected calibration error {calibration_error(bins):.4f}; mean score and share that fits")
    for each in bins:
        print(f"    {each.score:.3f} {each.share:.3f}")


async def gather(data: Path) -> list[Case]:
    embedder = OnnxEmbedder()
    try:
        return await Sets(embedder, data, random.Random(1)).gather()
    finally:
        await embedder.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the development data")
    parser.add_argument("--plot", type=Path, help="where to write the reliability plot, an SVG")
    arguments = parser.parse_args()
    bins = report(asyncio.run(gather(arguments.data)))
    if arguments.plot:
        arguments.plot.write_text(draw(bins, on_plot))


if __name__ == "__main__":
    main()
