"""Only what fits comes back, and nothing where nothing fits: beliefs of one user, in the scopes of each question."""

import asyncio
import statistics
from dataclasses import dataclass
from pathlib import Path

from bench.truth.service import Figures, Json, Service, Statement
from bench.truth.sets import load_json

USER = "precision"


@dataclass(frozen=True, slots=True)
class Returned:
    wanted: frozenset[str]
    found: frozenset[str]

    @property
    def precision(self) -> float:
        return len(self.wanted & self.found) / len(self.found) if self.found else 0.0

    @property
    def recall(self) -> float:
        return len(self.wanted & self.found) / len(self.wanted)


async def measure_precision(service: Service, data: Path) -> Figures:
    """Superseded beliefs are left out: what replaces what is measured by `consolidation`."""
    content = load_json(data, "precision")
    beliefs = [each for each in content["beliefs"] if each["status"] != "superseded"]
    names: dict[str, str] = {}
    for belief in beliefs:
        metadata = {"scope": belief["scope"][0]}
        (id_,) = await service.add(USER, [Statement(belief["text"])], metadata=metadata)
        names[str(id_)] = belief["id"]
    await service.wait_until_indexed(USER)
    cases = [each for each in content["cases"] if each["query"].strip()]
    returned = await asyncio.gather(*(_ask(service, each, names) for each in cases))
    fitting = [each for each in returned if each.wanted]
    others = [each for each in returned if not each.wanted]
    return {
        "precision": round(statistics.mean(each.precision for each in fitting), 4),
        "recall": round(statistics.mean(each.recall for each in fitting), 4),
        "silent where nothing fits": round(statistics.mean(not each.found for each in others), 4),
    }


async def _ask(service: Service, case: Json, names: dict[str, str]) -> Returned:
    scopes = [{"metadata": {"scope": scope}} for scope in case["scope"]]
    filters = {"AND": [{"user_id": USER}, {"OR": scopes}]}
    answer = await service.search(USER, case["query"], filters=filters)
    return Returned(frozenset(case["wanted"]), frozenset(names[each] for each in answer.ids))
