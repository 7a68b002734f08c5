"""The data sets, none of which is shipped, and how they are told to the server."""

import asyncio
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.memory.ledger import Kind, NewMemory
from bench.conversations import Conversation, Evidence, load, memories
from bench.truth.service import Json, Service, Statement

AT = 10
DEPTHS = (5, 10, 20)


@dataclass(frozen=True, slots=True)
class Told:
    """A user whose memories stand for turns of a conversation."""

    user_id: str
    turns: dict[str, frozenset[str]]
    """For each memory, the turns that count as found with it."""

    def recall(self, evidence: Sequence[object], ids: Sequence[str]) -> float:
        """The share of the evidence among the memories."""
        found = frozenset[str]().union(*(self.turns.get(each, frozenset()) for each in ids))
        wanted = {str(each) for each in evidence}
        return len(wanted & found) / len(wanted)


def load_json(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}-dev.json").read_text())


def load_locomo(folder: Path) -> list[Conversation]:
    return load(folder / "locomo-dev.json")


async def tell_episodes(service: Service, conversation: Conversation) -> Told:
    """Every turn word for word, one add for each session."""
    user_id = f"locomo {conversation['id']} episodes"
    turns: dict[str, frozenset[str]] = {}
    known = memories(conversation, Kind.EPISODE)
    for session in dict.fromkeys(each.memory.origin.run_id for each in known):
        part = [each for each in known if each.memory.origin.run_id == session]
        statements = [Statement(each.memory.content) for each in part]
        ids = await service.add(user_id, statements, run_id=session, timestamp=_time_of(part[0].memory))
        turns |= {id_: each.turns for id_, each in zip(ids, part, strict=True) if id_}
    return Told(user_id, turns)


async def tell_facts(service: Service, conversation: Conversation) -> Told:
    """Every observation as extraction would store it: with the turns it came from as context."""
    user_id = f"locomo {conversation['id']} facts"
    known = memories(conversation, Kind.FACT)
    ids = await service.import_facts(user_id, [_fact_line(each) for each in known])
    return Told(user_id, {id_: each.turns for id_, each in zip(ids, known, strict=True)})


async def tell_beam(service: Service, conversation: Json) -> Told:
    """Every turn word for word, one add for each session and role, so that a session keeps its order."""
    user_id = f"beam {conversation['id']}"
    turns: dict[str, frozenset[str]] = {}
    for session in dict.fromkeys(turn["session"] for turn in conversation["turns"]):
        part = [turn for turn in conversation["turns"] if turn["session"] == session]
        statements = [Statement(turn["text"], turn["role"]) for turn in part]
        day = next((turn["at"] for turn in part if turn["at"]), None)
        when = {"timestamp": f"{dt.datetime.strptime(day, '%B-%d-%Y'):%Y-%m-%d}"} if day else {}
        ids = await service.add(user_id, statements, run_id=str(session), **when)
        turns |= {id_: frozenset([str(turn["id"])]) for id_, turn in zip(ids, part, strict=True) if id_}
    return Told(user_id, turns)


async def ask_all(
    service: Service, told: Told, questions: Sequence[Mapping[str, Any]], **options: Any
) -> list[tuple[float, ...]]:
    """The recall of each question among its first results, for each number of results in `DEPTHS`."""

    async def ask(question: Mapping[str, Any]) -> tuple[float, ...]:
        answer = await service.search(told.user_id, question["question"], top_k=max(DEPTHS), **options)
        return tuple(told.recall(question["evidence"], answer.ids[:depth]) for depth in DEPTHS)

    return await asyncio.gather(*(ask(each) for each in questions if each["evidence"]))


def _fact_line(each: Evidence) -> Json:
    memory = each.memory
    when = _time_of(memory)
    return {
        "memory": memory.content,
        "context": memory.context,
        "run_id": memory.origin.run_id,
        "created_at": when,
        "updated_at": when,
    }


def _time_of(memory: NewMemory) -> str:
    assert memory.created_at is not None
    return memory.created_at.isoformat()
