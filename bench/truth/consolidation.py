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
    texts = {id_: fact for id_, fact in zip(ids, content["facts"], strict=True) if id_}
    values = [_value_is_above(content["facts"], question, [texts[each] for each in of]) for question, of in asked]
    figures: Figures = {
        "all questions": _shares(ids, asked),
        "with one of both among ten": _shares(ids, [each for each in asked if _is_found(ids, *each)]),
        "newest value above stale": round(statistics.mean(values), 4),
        "replaced": len(ids) - await _count(service, USER),
    }
    return figures | await _false_replacements(service, data)


def _shares(ids: Sequence[str | None], asked: Sequence[tuple[Json, Sequence[str]]]) -> Figures:
    return {
        "questions": len(asked),
        "newest above stale": round(statistics.mean(_is_above(ids, *each) for each in asked), 4),
        "stale among ten": round(statistics.mean(_has_stale(ids, *each) for each in asked), 4),
    }


def _value_is_above(facts: Sequence[str], question: Json, found: Sequence[str]) -> bool:
    """By what is stated instead of by id. Some questions name a pair of facts about something else, which has the same
    values; the fact about what they ask answers them as well."""
    newest = facts[question["newest"]]
    stale = [_value(facts[each], newest) for each in question["stale"]]
    wanted = _value(newest, facts[question["stale"][0]])
    return next((each.endswith(wanted) for each in found if each.endswith((wanted, *stale))), False)


def _value(fact: str, other: str) -> str:
    """The words after those that both begin with."""
    words, others = fact.split(), other.split()
    shared = next((n for n, pair in enumerate(zip(words, others, strict=False)) if pair[0] != pair[1]), len(words) - 1)
    return " ".join(words[shared:])


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
