"""How much of the evidence is among the first ten results, with the default threshold."""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.truth.service import Figures, Service
from bench.truth.sets import Told, ask_all, load_json, load_locomo, tell_beam, tell_episodes, tell_facts


async def measure_recall(service: Service, data: Path) -> Figures:
    conversations = load_locomo(data)
    figures: Figures = {}
    for name, tell in (("episodes", tell_episodes), ("facts", tell_facts)):
        told = [await tell(service, each) for each in conversations]
        figures[f"locomo {name}, R@10"] = await _mean(service, told, [each["questions"] for each in conversations])
    beam = load_json(data, "beam")
    told = [await tell_beam(service, each) for each in beam]
    figures["beam, R@10"] = await _mean(service, told, [each["questions"] for each in beam])
    for kind in sorted({question["kind"] for each in beam for question in each["questions"] if question["evidence"]}):
        asked = [[question for question in each["questions"] if question["kind"] == kind] for each in beam]
        figures[f"beam {kind}, R@10"] = await _mean(service, told, asked)
    return figures


async def _mean(service: Service, told: list[Told], questions: Sequence[Sequence[Mapping[str, Any]]]) -> float:
    parts = await asyncio.gather(*(ask_all(service, each, asked) for each, asked in zip(told, questions, strict=True)))
    return round(statistics.mean([value for part in parts for value in part]), 4)
