"""Random kills of API, worker and Postgres under mixed load: nothing acknowledged is lost, nothing is done twice, every
event is finished, and readiness told the truth meanwhile.

`make test-kills KILLS=100` kills a hundred times, half of them in an installation whose jobs run in a process of their
own. `KILLS_SEED` chooses another sequence.
"""

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.faults.installation import Installation, running_installation, wait_until_ready
from tests.faults.mixed_load import CHAT, EXTRACTION, Expected, User, fact_of, finish_turns
from tests.faults.readiness import ReadinessWatch
from tests.model_server import ModelServer

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("KILLS_SEED", "11"))
USERS = 8
FINISH_SECONDS = 120
MAX_MISSED = 0.02
"""A search waits at most two seconds for the index. In the end, everything is found."""
SEARCHED_AT_THE_END = 150
MEMORIES_SQL = b"select id::text, content, state from memories where user_id <> 'probe'"
EVENTS_SQL = b"select id::text, status, error, results::text from events where event_type = 'ADD'"
MESSAGES_SQL = b"select session_id::text, role, content from messages order by position"
LEFT_SQL = b"""
select 'events not finished', count(*) from events where status in ('PENDING', 'RUNNING')
union all select 'rows not indexed', count(*) from memories where state <> 'indexed'
union all select 'removals not done', count(*) from vector_removals
union all select 'jobs not done', count(*) from jobs.procrastinate_jobs where status in ('todo', 'doing')
  and task_name = 'memory.extract'
union all select 'incognito messages', count(*) from messages where content like '%secret note%'
union all select 'incognito memories', count(*) from memories where content like '%secret note%'
union all select 'incognito events', count(*) from events where messages::text like '%secret note%'
"""


@dataclass
class Outcome:
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    """What is unfinished two minutes after the last kill, and what must not exist at all."""
    seconds_until_finished: float = 0.0


@pytest.mark.long
@pytest.mark.parametrize("split", [False, True], ids=["one process", "jobs in another process"])
async def test_random_kills_lose_and_double_nothing(tmp_path: Path, split: bool) -> None:
    await kill_and_check(tmp_path / "data", split=split, kills=KILLS // 2)


async def kill_and_check(data_dir: Path, *, split: bool, kills: int) -> None:
    with ModelServer() as model:
        model.always(CHAT)
        model.always(EXTRACTION, extraction=True)
        settings = {"LLM_BASE_URL": model.url, "LLM_API_KEY": "key"}
        async with running_installation(data_dir, split=split, **settings) as installation:
            await wait_until_ready(installation)
            headers = {"Authorization": f"Token {await asyncio.to_thread(installation.create_key)}"}
            async with httpx.AsyncClient(base_url=installation.address, headers=headers, timeout=60) as client:
                expected, watch, outcome = Expected(), ReadinessWatch(installation, client), Outcome()
                try:
                    await live_through_kills(installation, client, expected, watch, kills)
                    await check(installation, client, expected, outcome)
                finally:
                    report(installation, expected, watch, outcome)
    assert installation.api
    assert not outcome.lost
    assert not outcome.doubled
    assert len(expected.missed) <= expected.searches * MAX_MISSED
    assert not expected.refused
    assert not watch.untrue
    assert not any(outcome.left.values()), outcome.left
    assert watch.slowest < 5
    assert installation.api.process.returncode == 0


async def live_through_kills(
    installation: Installation, client: httpx.AsyncClient, expected: Expected, watch: ReadinessWatch, kills: int
) -> None:
    stop, chance = asyncio.Event(), random.Random(SEED)
    users = [User(client, f"user {number}", expected, SEED + number) for number in range(USERS)]
    watching = asyncio.create_task(watch.watch())
    living = [asyncio.create_task(user.live(stop, 0.15)) for user in users]
    try:
        for _ in range(kills):
            await wait_for_a_moment(installation, chance)
            installation.kill(chance.choice(installation.victims), chance)
        await asyncio.sleep(3)
    finally:
        stop.set()
        await asyncio.gather(*living)
        watching.cancel()
        await asyncio.wait([watching])
    await finish_turns(users[0], expected.turns, 2 * FINISH_SECONDS)


async def wait_for_a_moment(installation: Installation, chance: random.Random) -> None:
    """Most kills meet a working installation, and some meet one that is still starting."""
    if chance.random() < 0.75:
        await wait_until_ready(installation)
        await asyncio.sleep(chance.uniform(0.5, 4))
    else:
        await asyncio.sleep(chance.uniform(0, 2))


# ---------------------------------------------------------------- the end


async def check(installation: Installation, client: httpx.AsyncClient, expected: Expected, outcome: Outcome) -> None:
    last_kill = installation.kills[-1][0]
    await wait_until_ready(installation)
    with installation.connect() as postgres:
        until = time.monotonic() + FINISH_SECONDS  # The last turns have just been repeated.
        while time.monotonic() < until:
            outcome.left = {str(name): int(str(count)) for name, count in postgres.execute(LEFT_SQL)}
            outcome.seconds_until_finished = time.monotonic() - last_kill
            if not any(outcome.left.values()):
                break
            await asyncio.sleep(0.5)
        memories = {str(each[0]): str(each[1]) for each in postgres.execute(MEMORIES_SQL)}
        check_memories(expected, memories, outcome)
        check_events(expected, memories, list(postgres.execute(EVENTS_SQL)), outcome)
        check_turns(expected, list(postgres.execute(MESSAGES_SQL)), outcome)
    await check_searches(client, expected, outcome)


def check_memories(expected: Expected, memories: dict[str, str], outcome: Outcome) -> None:
    for memory_id, allowed in expected.memories.items():
        if memory_id in expected.deleted and memory_id in memories:
            outcome.doubled.append(f"{memory_id} is there again")
        elif memory_id not in expected.perhaps_deleted and memories.get(memory_id) not in allowed:
            outcome.lost.append(f"{memory_id} is {memories.get(memory_id)}, not one of {allowed}")
    outcome.doubled += [f"{count} of {text}" for text, count in Counter(memories.values()).items() if count > 1]


def check_events(
    expected: Expected, memories: dict[str, str], rows: list[tuple[object, ...]], outcome: Outcome
) -> None:
    contents = set(memories.values())
    events = {str(row[0]): row for row in rows}
    for event_id, code in expected.events.items():
        _, status, error, results = events.get(event_id, (event_id, "missing", "", ""))
        known = '"NONE"' in str(results)
        if status != "SUCCEEDED" or not (known or fact_of(code) in contents):
            outcome.lost.append(f"event {event_id} is {status}: {error}, {results}")


def check_turns(expected: Expected, rows: list[tuple[object, ...]], outcome: Outcome) -> None:
    """Each turn with an answer is in the transcript once, question and answer one after the other."""
    stored = [(str(session), str(content)) for session, _, content in rows]
    for turn in expected.turns:
        if turn.answer is None or turn.mode == "incognito":
            continue
        at = [number for number, each in enumerate(stored) if each == (turn.session, turn.content)]
        answers = stored.count((turn.session, turn.answer))
        if not at or not answers:
            outcome.lost.append(f"turn {turn.content}")
        elif answers > 1:
            outcome.doubled.append(f"turn {turn.content}")


async def check_searches(client: httpx.AsyncClient, expected: Expected, outcome: Outcome) -> None:
    sure = [each for each in expected.memories if each not in expected.perhaps_deleted]
    for memory_id in sure[:: max(1, len(sure) // SEARCHED_AT_THE_END)]:
        text = next(iter(expected.memories[memory_id]))
        user = (await client.get(f"/v1/memories/{memory_id}/")).json().get("user_id")
        body = {"query": text, "filters": {"user_id": user}, "top_k": 10, "threshold": 0}
        found = (await client.post("/v3/memories/search/", json=body)).json()["results"]
        if len(expected.memories[memory_id]) == 1 and memory_id not in {each["id"] for each in found}:
            outcome.lost.append(f"{memory_id} is not found by search")


def report(installation: Installation, expected: Expected, watch: ReadinessWatch, outcome: Outcome) -> None:
    lines = {
        "kills": dict(Counter(str(victim) for _, victim in installation.kills)),
        "starts that failed": len(installation.failed_starts),
        "acknowledged; unanswered": (expected.acknowledged, expected.unanswered),
        "memories; events; turns": (len(expected.memories), len(expected.events), len(expected.turns)),
        "lost; doubled": (len(outcome.lost), len(outcome.doubled)),
        "finished after": f"{outcome.seconds_until_finished:.1f} s",
        "searches; missed": (expected.searches, len(expected.missed)),
        "readiness": watch.answers,
        "probes; untrue": (watch.probes, len(watch.untrue)),
        "slowest readiness": f"{watch.slowest:.2f} s",
        "left": outcome.left,
        "refused": expected.refused[:5],
        "details": [*outcome.lost[:5], *outcome.doubled[:5], *watch.untrue[:5], *expected.missed[:5]],
    }
    for name, value in lines.items():
        print(f"{name:28} {value}")  # noqa: T201
    for each in installation.failed_starts:
        print(each)  # noqa: T201
