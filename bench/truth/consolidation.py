"""What is true now comes first, and what it replaced does not come at all; and nothing else is replaced."""

import asyncio
import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.truth.service import Figures, Json, Service, Statement
from bench.truth.sets import AT, Told, load_json, load_locomo, tell_episodes, tell_facts

USER = "consolidation"


async def measure_consolidation(service: Service, data: Path) -> Figures:
    """Facts in the order in which they were told, word for word. Some were told again with another value."""
    content = load_json(data, "consolidation")
    ids = await service.add(USER, [Statement(each) for each in content["facts"]])
    await service.wait_until_indexed(USER)
    found = await asyncio.gather(*(_ask(service, each["question"]) for each in content["questions"]))
    asked = list(zip(content["questions"], found, strict=True))
    figures: Figures = {
        "all questions": _shares(ids, asked),
        "with one of both among ten": _shares(ids, [each for each in asked if _is_found(ids, *each)]),
        "replaced": len(ids) - await _count(service, USER),
    }
    return figures | await _false_replacements(service, data)


def _shares(ids: Sequence[str | None], asked: Sequence[tuple[Json, Sequence[str]]]) -> Figures:
    return {
        "questions": len(asked),
        "newest above stale": round(statistics.mean(_is_above(ids, *each) for each in asked), 4),
        "stale among ten": round(statistics.mean(_has_stale(ids, *each) for each in asked), 4),
    }


async def _ask(service: Service, question: str) -> list[str]:
    return (await service.search(USER, question, top_k=AT)).ids


def _is_found(ids: Sequence[str | None], question: Json, found: Sequence[str]) -> bool:
    """Not so where the data set names a fact about something else than the question."""
    return ids[question["newest"]] in found or _has_stale(ids, question, found)


def _is_above(ids: Sequence[str | None], question: Json, found: Sequence[str]) -> bool:
    """Whether the newest is found, and no stale one before it."""
    newest = ids[question["newest"]]
    stale = {ids[each] for each in question["stale"]}
    return next((each == newest for each in found if each == newest or each in stale), False)


def _has_stale(ids: Sequence[str | None], question: Json, found: Sequence[str]) -> bool:
    return any(ids[each] in found for each in question["stale"])


async def _false_replacements(service: Service, data: Path) -> Figures:
    """Conversations of friends, in which hardly anything is said twice with another value."""
    figures: Figures = {}
    for name, tell in (("episodes", tell_episodes), ("facts", tell_facts)):
        told: list[Told] = [await tell(service, each) for each in load_locomo(data)]
        for each in told:
            await service.wait_until_indexed(each.user_id)
        left = [await _count(service, each.user_id) for each in told]
        figures[f"locomo {name} replaced"] = sum(len(each.turns) for each in told) - sum(left)
    return figures


async def _count(service: Service, user_id: str) -> int:
    """How many memories are current."""
    answer = await service.post("/v3/memories/?page_size=1", {"filters": {"user_id": user_id}, "latest_only": True})
    return int(answer["count"])
