"""Questions with and without an answer, and the candidates of each: what bench/fit_calibration.py fits."""

import datetime as dt
import random
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.core.ports import Embedder, Role
from app.memory.ledger import Kind, NewMemory
from app.memory.origin import Origin
from app.memory.recall import rank
from app.memory.recall.calibration import best_keyword_score, is_english, list_features
from bench.conversations import Conversation, Evidence, memories
from bench.exact import ExactNamespace
from bench.truth.service import Json
from bench.truth.sets import load_json, load_locomo
from bench.truth.silence import NEVER_TOLD, are_strangers, speakers

Floats = NDArray[np.float64]
LIMIT, TOP = 50, 10
SIZES, SIZES_OF_OTHERS = (1, 5, 20), (1, 5, 20, 80)
ALL = 10_000
OTHERS, SAMPLES, OWN = 150, 40, 40
LANGUAGES, IN_A_LANGUAGE = ("en", "de", "es", "tr", "zh", "hi", "ru", "ar"), 60
ABOUT_STRANGERS = (
    "Where does Sofia work?",
    "What is the name of Peter's wife?",
    "Does Ahmed have siblings?",
    "When did Yuki move to Berlin?",
    "What instrument does Olga play?",
    "What is Hassan allergic to?",
    "Who taught Priya to swim?",
    "Which book did Emil recommend?",
    "How many children does Ingrid have?",
    "What does Carlos do on Sundays?",
)
NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """One question, and the best of its candidates."""

    set: str
    conversation: str
    """Where the memories come from."""
    asked: str
    """The other conversation that the question comes from, if it does."""
    answerable: bool
    logits: Floats
    hits: Floats
    candidates: int
    features: Floats
    english: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A namespace that stands for turns of one conversation."""

    conversation: str
    space: ExactNamespace
    turns: Mapping[UUID, frozenset[str]]

    def part(self, places: Sequence[int]) -> "Told":
        return replace(self, space=self.space.part(sorted(places)))

    def places(self, evidence: Iterable[str]) -> list[int]:
        wanted = frozenset(evidence)
        return [place for place, each in enumerate(self.space.memories) if self.turns[each.id] & wanted]


@dataclass(frozen=True, slots=True)
class Sets:
    embedder: Embedder
    data: Path
    random: random.Random

    async def gather(self) -> list[Case]:
        conversations = load_locomo(self.data)
        parts = [self._beliefs(), self._beam(), *map(self._languages, LANGUAGES)]
        for kind in (Kind.EPISODE, Kind.FACT):
            for each in conversations:
                told = await self._tell(each["id"], memories(each, kind))
                strangers = [other for other in conversations if are_strangers(each, other)]
                parts += [self._whole(kind, told, each, strangers), self._samples(kind, told, each, strangers)]
        for each in conversations:
            strangers = [other for other in conversations if are_strangers(each, other)]
            parts += [self._first_person(each, speaker, strangers) for speaker in sorted(speakers(each))]
        return [case for part in parts async for case in part]

    async def _tell(self, conversation: str, known: Sequence[Evidence]) -> Told:
        space = await ExactNamespace.remember(self.embedder, [each.memory for each in known])
        return Told(conversation, space, {each.memory.id: each.turns for each in known})

    async def _ask(
        self, name: str, told: Told, question: str, evidence: Iterable[str] = (), asked: str = "", limit: int = LIMIT
    ) -> Case:
        found = await told.space.candidates(self.embedder, question, limit)
        ranked = rank(question, found, NOW, limit=TOP)
        inputs = {each.id: each for each in found}
        logits = [sum(value for part, value in each.parts.items() if part != "calibration") for each in ranked]
        wanted = frozenset(evidence)
        return Case(
            set=name,
            conversation=told.conversation,
            asked=asked,
            answerable=any(told.turns[each.id] & wanted for each in found),
            logits=np.array(logits),
            hits=np.array([float(bool(told.turns[each.id] & wanted)) for each in ranked]),
            candidates=len(found),
            features=np.array(list_features(question, [inputs[each.id] for each in ranked], best_keyword_score(found))),
            english=is_english(question),
        )

    async def _whole(
        self, kind: Kind, told: Told, own: Conversation, strangers: Sequence[Conversation]
    ) -> AsyncIterator[Case]:
        for each in own["questions"]:
            yield await self._ask(f"told {kind}", told, each["question"], each["evidence"])
        for asked, question in self.random.sample(_questions(strangers), OTHERS):
            yield await self._ask(f"others {kind}", told, question, asked=asked)
        for question in (*NEVER_TOLD, *ABOUT_STRANGERS):
            yield await self._ask(f"generic {kind}", told, question)

    async def _samples(
        self, kind: Kind, told: Told, own: Conversation, strangers: Sequence[Conversation]
    ) -> AsyncIterator[Case]:
        everything = range(len(told.space.memories))
        for each in own["questions"]:
            fitting = told.places(each["evidence"])
            for size in SIZES if fitting else ():
                with_it, without = self._with_and_without(everything, fitting, size)
                yield await self._ask(f"few {size} {kind}", told.part(with_it), each["question"], each["evidence"])
                yield await self._ask(f"few without {size} {kind}", told.part(without), each["question"])
        for size in SIZES_OF_OTHERS:
            for asked, question in self.random.choices(_questions(strangers), k=SAMPLES):
                few = told.part(self.random.sample(everything, size))
                yield await self._ask(f"few others {size} {kind}", few, question, asked=asked)

    async def _first_person(
        self, own: Conversation, speaker: str, strangers: Sequence[Conversation]
    ) -> AsyncIterator[Case]:
        """What one person says, without the name, and questions in the first person."""
        prefix = f"{speaker}: "
        known = [each for each in memories(own, Kind.EPISODE) if each.memory.content.startswith(prefix)]
        spoken = [
            replace(each.memory, content=each.memory.content.removeprefix(prefix), context=None) for each in known
        ]
        nameless = [replace(each, memory=memory) for each, memory in zip(known, spoken, strict=True)]
        told = await self._tell(own["id"], nameless)
        everything = range(len(spoken))
        mine = [each for each in own["questions"] if _names(each["question"], speakers(own)) == {speaker}]
        for each in self.random.sample(mine, min(OWN, len(mine))):
            fitting = told.places(each["evidence"])
            question = _in_first_person(each["question"], {speaker})
            for size in (*SIZES_OF_OTHERS, ALL) if fitting else ():
                with_it, without = self._with_and_without(everything, fitting, size)
                yield await self._ask(f"my {size}", told.part(with_it), question, each["evidence"])
                yield await self._ask(f"my without {size}", told.part(without), question)
                other = self.random.choice(strangers)
                foreign = _in_first_person(self.random.choice(other["questions"])["question"], speakers(other))
                few = told.part(self.random.sample(everything, min(size, len(spoken))))
                yield await self._ask(f"my others {size}", few, foreign, asked=other["id"])

    def _with_and_without(
        self, everything: Sequence[int], fitting: Sequence[int], size: int
    ) -> tuple[list[int], list[int]]:
        """Samples of memories, one with a memory that answers the question."""
        others = [place for place in everything if place not in fitting]
        rivals = self.random.sample(others, min(size - 1, len(others)))
        return [self.random.choice(fitting), *rivals], self.random.sample(others, min(size, len(others)))

    async def _beliefs(self) -> AsyncIterator[Case]:
        content = load_json(self.data, "precision")
        current = [each for each in content["beliefs"] if each["status"] != "superseded"]
        for number, case in enumerate(content["cases"]):
            if not case["query"].strip():
                continue
            known = [_belief(each["text"], each["id"]) for each in current if each["scope"][0] in case["scope"]]
            told = await self._tell(f"beliefs {number % 6}", known)
            yield await self._ask("beliefs", told, case["query"], case["wanted"], limit=2000)

    async def _languages(self, language: str) -> AsyncIterator[Case]:
        """Questions of one language about statements in the same, and in English."""
        content = load_json(self.data, "languages")
        places = range(len(content["en"]))
        for written in dict.fromkeys((language, "en")):
            known = [_belief(content[written][place]["text"], str(place)) for place in places]
            told = await self._tell(f"language {language}", known)
            name = f"language {written} {language}"
            for place in self.random.sample(places, min(IN_A_LANGUAGE, len(places))):
                question = content[language][place]["question"]
                yield await self._ask(name, told, question, [str(place)])
                without = told.part([each for each in places if each != place])
                yield await self._ask(f"{name} without", without, question)

    async def _beam(self) -> AsyncIterator[Case]:
        for conversation in load_json(self.data, "beam"):
            told = await self._tell(f"beam {conversation['id']}", _turns(conversation["turns"]))
            for each in conversation["questions"]:
                if each["evidence"]:
                    yield await self._ask("beam", told, each["question"], map(str, each["evidence"]))


def _questions(conversations: Sequence[Conversation]) -> list[tuple[str, str]]:
    return [(each["id"], asked["question"]) for each in conversations for asked in each["questions"]]


def _names(question: str, names: Iterable[str]) -> set[str]:
    return {name for name in names if name in question}


def _in_first_person(question: str, names: Iterable[str]) -> str:
    for name in names:
        question = re.sub(rf"\b{name}'s\b", "my", question)
        for verb, mine in (("does", "do"), ("is", "am"), ("has", "have")):
            question = re.sub(rf"\b{verb} {name}\b", f"{mine} I", question)
        question = re.sub(rf"\b{name}\b", "I", question)
    return question


def _belief(text: str, id_: str) -> Evidence:
    return Evidence(NewMemory(content=text, kind=Kind.EPISODE, created_at=NOW), frozenset([id_]))


def _turns(turns: Sequence[Json]) -> list[Evidence]:
    """Each with the turn before it as context, dated like the first turn of its session."""
    known: list[Evidence] = []
    for _, session in groupby(turns, key=itemgetter("session")):
        part = list(session)
        day = part[0]["at"]
        at = dt.datetime.strptime(day, "%B-%d-%Y").replace(tzinfo=dt.UTC) if day else NOW
        for before, turn in zip([None, *part], part, strict=False):
            memory = NewMemory(
                content=turn["text"],
                kind=Kind.EPISODE,
                role=Role(turn["role"]),
                context=before["text"] if before else None,
                origin=Origin(run_id=str(turn["session"])),
                created_at=at,
            )
            known.append(Evidence(memory, frozenset([str(turn["id"])])))
    return known
