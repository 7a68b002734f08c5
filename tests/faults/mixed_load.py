"""Clients that use every kind of write, and remember what was acknowledged, so that a test can check it afterwards."""

import asyncio
import itertools
import json
import random
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench.corpus import sentences
from tests.model_server import Behaviour, Decides, Says, Sent

CODE = re.compile(r"\(note (\w{12})\)")
NUMBERED = re.compile(r"(?:\[(\d+)\] )?[^\n\[]*\(note (\w{12})\)")
FACTS = list(itertools.islice(sentences(5), 20_000))
UNAVAILABLE = {409, 429, 500, 502, 503, 504}
"""While a part restarts. 409: an earlier turn of the session ended without an answer."""
Body = dict[str, Any]


def fact_of(code: str) -> str:
    return f"{FACTS[int(code, 16) % len(FACTS)]} (fact {code})"


def last_message(sent: Sent) -> str:
    """Empty if the server was killed while it sent the request."""
    messages = sent.body.get("messages") or [{}]
    return str(messages[-1].get("content", ""))


def new_messages(sent: Sent) -> str:
    return last_message(sent).split("## New Messages")[-1].split("## Observation Date")[0]


def extract_facts(sent: Sent) -> Behaviour:
    """One fact for each note in the new messages, in other words, and none for what the prompt says besides. It names
    the conversation of each fact, as the prompt asks for: a fact that is known already counts for that one."""
    numbers = {code: number for number, code in NUMBERED.findall(new_messages(sent))}
    memory = [
        {"id": code, "text": fact_of(code), "attributed_to": "user", **({"source": number} if number else {})}
        for code, number in numbers.items()
    ]
    return Says(json.dumps({"memory": memory}))


def answer_question(sent: Sent) -> Behaviour:
    codes = CODE.findall(last_message(sent))
    return Says("Understood", f" (answer {codes[-1] if codes else 'none'})")


CHAT, EXTRACTION = Decides(answer_question), Decides(extract_facts)


@dataclass
class Turn:
    session: str
    key: str
    content: str
    mode: str
    answer: str | None = None


@dataclass
class Expected:
    """What must be there in the end. A set of texts allows for a change without an acknowledgement."""

    memories: dict[str, set[str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    perhaps_deleted: set[str] = field(default_factory=set)
    events: dict[str, str] = field(default_factory=dict)
    """The code of each event whose facts are extracted."""
    turns: list[Turn] = field(default_factory=list)
    acknowledged: int = 0
    unanswered: int = 0
    searches: int = 0
    missed: list[str] = field(default_factory=list)
    """Acknowledged memories that the next search did not find."""
    refused: list[str] = field(default_factory=list)
    """Answers that no fault explains."""


class User:
    """One user, who does one thing at a time."""

    def __init__(self, client: httpx.AsyncClient, name: str, expected: Expected, seed: int) -> None:
        self.client, self.name, self.expected = client, name, expected
        self.chance = random.Random(seed)
        self.texts: Iterator[str] = sentences(seed + 100)
        self.mine: dict[str, str] = {}
        self.sessions: dict[str, str] = {}

    async def live(self, stop: asyncio.Event, pause: float) -> None:
        actions = [self.add, self.add, self.add_inferred, self.change, self.delete, self.chat, self.search]
        while not stop.is_set():
            await self.chance.choice(actions)()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.chance.uniform(0, 2 * pause))

    async def call(self, method: str, path: str, body: Body | None = None, **values: Any) -> Body | None:
        """None if nothing was acknowledged."""
        try:
            response = await self.client.request(method, path, json=body, **values)
        except httpx.TransportError:
            self.expected.unanswered += 1
            await asyncio.sleep(0.2)
            return None
        if response.status_code in UNAVAILABLE:
            self.expected.unanswered += 1
            await asyncio.sleep(0.2)
            return None
        if response.status_code >= 300:
            self.expected.refused.append(f"{method} {path}: {response.status_code} {response.text[:200]}")
            return None
        self.expected.acknowledged += 1
        answer: Body = response.json()
        return answer

    def note(self) -> tuple[str, str]:
        code = uuid.UUID(int=self.chance.getrandbits(128)).hex[:12]
        return f"{next(self.texts)} (note {code})", code

    async def add(self) -> None:
        text, _ = self.note()
        body = {"messages": text, "user_id": self.name, "infer": False}
        if answer := await self.call("POST", "/v3/memories/add/", body):
            memory_id = str(answer["results"][0]["id"])
            self.mine[memory_id] = text
            self.expected.memories[memory_id] = {text}

    async def add_inferred(self) -> None:
        text, code = self.note()
        if answer := await self.call("POST", "/v3/memories/add/", {"messages": text, "user_id": self.name}):
            self.expected.events[str(answer["event_id"])] = code

    async def change(self) -> None:
        if not self.mine:
            return
        memory_id = self.chance.choice(list(self.mine))
        text, _ = self.note()
        before = self.expected.memories[memory_id]
        self.expected.memories[memory_id] = before | {text}
        if await self.call("PUT", f"/v1/memories/{memory_id}/", {"text": text}):
            self.mine[memory_id] = text
            self.expected.memories[memory_id] = {text}
        else:
            del self.mine[memory_id]  # Later changes would make what is expected ambiguous.

    async def delete(self) -> None:
        if len(self.mine) < 3:
            return
        memory_id = self.chance.choice(list(self.mine))
        del self.mine[memory_id]
        self.expected.perhaps_deleted.add(memory_id)
        if await self.call("DELETE", f"/v1/memories/{memory_id}/"):
            self.expected.deleted.add(memory_id)

    async def search(self) -> None:
        if not self.mine:
            return
        memory_id = self.chance.choice(list(self.mine))
        body = {"query": self.mine[memory_id], "filters": {"user_id": self.name}, "top_k": 5, "threshold": 0}
        if answer := await self.call("POST", "/v3/memories/search/", body):
            self.expected.searches += 1
            if memory_id not in {each["id"] for each in answer["results"]}:
                self.expected.missed.append(memory_id)

    async def chat(self) -> None:
        mode = self.chance.choice(["normal", "normal", "incognito"])
        if mode not in self.sessions:
            body = {"user_id": self.name, "privacy_mode": mode}
            session = await self.call("POST", "/v1/sessions", body)
            if session is None:
                return
            self.sessions[mode] = session["id"]
        text, _ = self.note()
        turn = Turn(
            self.sessions[mode],
            uuid.uuid4().hex,
            text.replace("(note", "(secret note") if mode == "incognito" else text,
            mode,
        )
        self.expected.turns.append(turn)
        if not await self.say(turn):
            del self.sessions[mode]  # The turn is repeated at the end; until then the session may be locked.

    async def say(self, turn: Turn) -> bool:
        path, headers = f"/v1/sessions/{turn.session}/messages", {"Idempotency-Key": turn.key}
        if answer := await self.call("POST", path, {"content": turn.content}, headers=headers):
            turn.answer = answer["message"]["content"]
            if answer["event_id"]:
                self.expected.events[answer["event_id"]] = CODE.findall(turn.content)[0]
        return turn.answer is not None


async def finish_turns(user: User, turns: list[Turn], seconds: float) -> None:
    """Repeats the turns without an answer, with the same key, as a client does."""
    unanswered = [turn for turn in turns if turn.answer is None and turn.mode != "incognito"]
    by_session = {turn.session: [each for each in unanswered if each.session == turn.session] for turn in unanswered}
    async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
        for session_turns in by_session.values():
            group.create_task(repeat_turns(user, session_turns))


async def repeat_turns(user: User, turns: list[Turn]) -> None:
    for turn in turns:
        while not await user.say(turn):
            pass
