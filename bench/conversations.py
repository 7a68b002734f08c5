"""LoCoMo's conversations as memories: every turn an episode, every observation a fact. The data is never shipped."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from app.memory.ledger import Kind, NewMemory
from app.memory.origin import Origin


class Turn(TypedDict):
    id: str
    session: str
    at: str
    speaker: str
    text: str


class Asked(TypedDict):
    question: str
    category: int
    evidence: list[str]


class Observation(TypedDict):
    session: str
    text: str
    evidence: list[str]


class Conversation(TypedDict):
    id: str
    turns: list[Turn]
    questions: list[Asked]
    observations: list[Observation]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A memory, and the turns that count as found when it is found."""

    memory: NewMemory
    turns: frozenset[str]


def load(path: Path) -> list[Conversation]:
    conversations: list[Conversation] = json.loads(path.read_text())
    return conversations


def memories(conversation: Conversation, kind: Kind) -> list[Evidence]:
    return episodes(conversation) if kind is Kind.EPISODE else facts(conversation)


def episodes(conversation: Conversation) -> list[Evidence]:
    turns = conversation["turns"]
    found = []
    for place, turn in enumerate(turns):
        memory = NewMemory(
            content=spoken(turn),
            kind=Kind.EPISODE,
            context=_before(turns, place),
            origin=Origin(run_id=turn["session"]),
            created_at=said_at(turn["at"]),
        )
        found.append(Evidence(memory, frozenset([turn["id"]])))
    return found


def facts(conversation: Conversation) -> list[Evidence]:
    """Facts with the turns they came from as context, as extraction stores them."""
    turns = conversation["turns"]
    places = {turn["id"]: place for place, turn in enumerate(turns)}
    dates = {turn["session"]: turn["at"] for turn in turns}
    found = []
    for observation in conversation["observations"]:
        sources = [places[turn] for turn in observation["evidence"] if turn in places]
        memory = NewMemory(
            content=observation["text"],
            context="\n".join(_with_turn_before(turns, place) for place in sources) or None,
            origin=Origin(run_id=observation["session"]),
            created_at=said_at(dates[observation["session"]]),
        )
        found.append(Evidence(memory, frozenset(observation["evidence"])))
    return found


def spoken(turn: Turn) -> str:
    return f"{turn['speaker']}: {turn['text']}"


def said_at(at: str) -> dt.datetime:
    return dt.datetime.strptime(at, "%I:%M %p on %d %B, %Y").replace(tzinfo=dt.UTC)


def _before(turns: Sequence[Turn], place: int) -> str | None:
    same = place > 0 and turns[place - 1]["session"] == turns[place]["session"]
    return spoken(turns[place - 1]) if same else None


def _with_turn_before(turns: Sequence[Turn], place: int) -> str:
    before = _before(turns, place)
    return f"{before}\n{spoken(turns[place])}" if before else spoken(turns[place])
