"""How much of the evidence is among the first results, without a threshold and with mem0's default one."""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.truth.service import Figures, Service
from bench.truth.sets import DEPTHS, Told, ask_all, load_json, load_locomo, tell_beam, tell_episodes, tell_facts

OPTIONS: dict[str, dict[str, float]] = {"": {}, " with threshold 0.1": {"threshold": 0.1}}
Questions = Sequence[Sequence[Mapping[str, Any]]]


async def measure_recall(service: Service, data: Path) -> Figures:
    conversations = load_locomo(data)
    questions: Questions = [each["questions"] for each in conversations]
    figures: Figures = {}
    for name, tell in (("episodes", tell_episodes), ("facts", tell_facts)):
        told = [await tell(service, each) for each in conversations]
        figures |= await measure_told(service, f"locomo {name}", told, questions)
    beam = load_json(data, "beam")
    told = [await tell_beam(service, each) for each in beam]
    figures |= await measure_told(service, "beam", told, [each["questions"] for each in beam])
    for kind in sorted({question["kind"] for each in beam for question in each["questions"] if question["evidence"]}):
        of_kind = [[question for question in each["questions"] if question["kind"] == kind] for each in beam]
        figures[f"beam {kind}"] = await _mean(service, told, of_kind)
    return figures


async def measure_told(service: Service, name: str, told: Sequence[Told], questions: Questions) -> Figures:
    for each in told:
        await service.wait_until_indexed(each.user_id)
    return {f"{name}{label}": await _mean(service, told, questions, **options) for label, options in OPTIONS.items()}


async def _mean(service: Service, told: Sequence[Told], questions: Questions, **options: float) -> dict[str, float]:
    asked = zip(told, questions, strict=True)
    parts = await asyncio.gather(*(ask_all(service, each, part, **options) for each, part in asked))
    columns = zip(*(recalls for part in parts for recalls in part), strict=True)
    return {f"R@{depth}": round(statistics.mean(column), 4) for depth, column in zip(DEPTHS, columns, strict=True)}
