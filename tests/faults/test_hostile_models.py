"""Models that answer anything but what was asked. Nothing acknowledged is lost or done twice, every event is finished,
and the next turn of each session works."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.api_keys.issue import issue_key
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from app.worker import run_jobs
from tests.conftest import open_client
from tests.faults.mixed_load import answer_question, extract_facts, fact_of, last_message, new_messages
from tests.model_server import Behaviour, Decides, Drops, Facts, Fails, Hangs, ModelServer, Raw, Says, Sends, Sent

HOSTILE: dict[str, Behaviour] = {
    "garbage": Sends(b"\x00\xff\xfe not json"),
    "half json": Raw('{"memory": [{"id": "0", "text": "half'),
    "wrong json": Raw('{"memory": {"a": [[[1]]]}}'),
    "nul": Says("\0\ud800", "a\0b"),
    "nul facts": Facts("a\0b \ud800"),
    "empty": Says(""),
    "hangs": Hangs(),
    "drops": Drops(),
    "hangs in the middle": Hangs(after=("half an ans",)),
    "drops in the middle": Drops(after=("half an ans",)),
    "fails": Fails(500),
    "is busy": Fails(429, retry_after="1"),
    "is busy without a number": Fails(429, retry_after="soon"),
    "refuses the key": Fails(401),
    "sends a page": Sends(b"<html><body>Bad gateway</body></html>", "text/html"),
    "sends a huge answer": Says("word " * 400_000),
    "never ends": Sends(b"data: {}\n\n", "text/event-stream", endless=True),
    "never ends a line": Sends(b"x" * 10_000, "text/event-stream", endless=True),
}
QUICK = ("garbage", "half json", "nul", "nul facts", "drops in the middle", "sends a page")
PLAIN_SENTENCE = re.compile(r"[A-Z][^{}\[\]<>\n\0]*\.")
TIMEOUT_SECONDS = 3.0
MAX_LOCKED_SECONDS = 60.0
DOUBLED_SQL = b"""
select user_id, kind, content from memories where role = 'user' group by 1, 2, 3 having count(*) > 1
"""
STATUSES = {200, 409, 429, 502, 503, 504}


@dataclass
class HostileModel:
    """Hostile until it is healed: how, the name in the message decides."""

    is_healed: bool = False

    def answer(self, sent: Sent) -> Behaviour:
        return self.misbehaviour(last_message(sent)) or answer_question(sent)

    def extract(self, sent: Sent) -> Behaviour:
        return self.misbehaviour(new_messages(sent)) or extract_facts(sent)

    def misbehaviour(self, message: str) -> Behaviour | None:
        name = re.search(r"\(model that ([a-z ]+)\)", message)
        return HOSTILE[name[1]] if name and not self.is_healed else None


@dataclass
class Conversation:
    name: str
    session: str
    code: str
    added: str
    """The event of an add with extraction."""
    turn_key: str


@asynccontextmanager
async def running(folder: Path, url: str) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        llm_base_url=url,
        llm_api_key="key",
        llm_timeout_seconds=TIMEOUT_SECONDS,
        rate_limit_user="100000/minute",
        rate_limit_chat="100000/minute",
    )
    async with open_resources(settings) as resources, run_jobs(resources, concurrency=8, poll_seconds=0.5):
        key = await issue_key(resources.database, resources.key_pepper, name="test", project_id=None)
        async with open_client(create_app(resources), key) as client:
            yield client


@pytest.mark.parametrize(
    ("names", "hostile_seconds"),
    [(QUICK, 1.0), pytest.param(tuple(HOSTILE), 25.0, marks=pytest.mark.long)],
    ids=["quick", "all"],
)
async def test_hostile_model_loses_nothing_and_leaves_no_event_unfinished(
    tmp_path: Path, names: tuple[str, ...], hostile_seconds: float
) -> None:
    hostile = HostileModel()
    with ModelServer() as server:
        server.always(Decides(hostile.answer))
        server.always(Decides(hostile.extract), extraction=True)
        async with running(tmp_path, server.url) as client:
            watching = asyncio.create_task(watch_readiness(client))
            conversations = await asyncio.gather(*(begin(client, name) for name in names))
            await asyncio.gather(*(take_turn(client, each, "first") for each in conversations))
            await asyncio.sleep(hostile_seconds)
            hostile.is_healed = True
            await asyncio.gather(*(check_next_turn(client, each) for each in conversations))
            await wait_until_finished(client)
            for each in conversations:
                await check_conversation(client, each)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            check_nothing_is_doubled(tmp_path)


async def begin(client: httpx.AsyncClient, name: str) -> Conversation:
    body = {"user_id": f"user of {name}"}
    session = (await client.post("/v1/sessions", json=body)).raise_for_status().json()["id"]
    code = uuid.uuid4().hex[:12]
    messages = f"I keep {len(name)} bees (note {code}) (model that {name})"
    added = await client.post("/v3/memories/add/", json={**body, "messages": messages})
    await client.post("/v3/memories/add/", json={**body, "messages": f"Word for word {code}", "infer": False})
    return Conversation(name, session, code, added.raise_for_status().json()["event_id"], uuid.uuid4().hex)


async def take_turn(client: httpx.AsyncClient, conversation: Conversation, words: str) -> httpx.Response:
    """As a client does, with a key, so that it can repeat the turn."""
    path, headers = f"/v1/sessions/{conversation.session}/messages", {"Idempotency-Key": conversation.turn_key + words}
    body = {"content": f"Hello, {words} (model that {conversation.name})"}
    response = await client.post(path, json=body, headers=headers)
    assert response.status_code in STATUSES, (conversation.name, response.text)
    assert response.status_code == 200 or PLAIN_SENTENCE.match(response.json()["detail"]), response.text
    return response


async def check_next_turn(client: httpx.AsyncClient, conversation: Conversation) -> None:
    """The session is not locked, and the first turn can be repeated."""
    until = time.monotonic() + MAX_LOCKED_SECONDS
    for words in ("next", "first"):
        while (response := await take_turn(client, conversation, words)).status_code != 200:
            assert time.monotonic() < until, f"{conversation.name}: {response.text}"
            await asyncio.sleep(min(5.0, float(response.headers.get("Retry-After", "0.5"))))


async def watch_readiness(client: httpx.AsyncClient) -> None:
    """A model is not essential: the server stays ready, and answers at once.

    One answer in ten may be otherwise, because this process plays the models and the clients, too."""
    answers, otherwise = 0, list[str]()
    try:
        while True:
            started_at = time.monotonic()
            response = await client.get("/v1/ready")
            seconds, answers = time.monotonic() - started_at, answers + 1
            if response.status_code != 200 or seconds > 2:
                otherwise.append(f"{seconds:.1f} s: {response.text}")
            await asyncio.sleep(0.3)
    finally:
        assert len(otherwise) <= answers // 10, otherwise


async def wait_until_finished(client: httpx.AsyncClient) -> None:
    """Pauses between the attempts grow, up to two minutes in all."""
    async with asyncio.timeout(150):
        while True:
            events = (await client.get("/v1/events/?page_size=100")).json()["results"]
            if {each["status"] for each in events} <= {"SUCCEEDED", "FAILED"}:
                return
            await asyncio.sleep(0.3)


async def check_conversation(client: httpx.AsyncClient, conversation: Conversation) -> None:
    event = (await client.get(f"/v1/event/{conversation.added}/")).json()
    user = f"user of {conversation.name}"
    listed = await client.post("/v3/memories/?page_size=100", json={"filters": {"user_id": user}})
    memories = [each["memory"] for each in listed.json()["results"]]
    assert memories.count(f"Word for word {conversation.code}") == 1
    if event["status"] == "FAILED":
        assert PLAIN_SENTENCE.fullmatch(event["error"]), (conversation.name, event)
    else:
        known = any(each.get("event") == "NONE" for each in event["results"])
        # A model that answers in the right form is believed.
        assert memories.count(fact_of(conversation.code)) == 1 or known or conversation.name == "nul facts", event
    assert not any("\0" in memory for memory in memories)


def check_nothing_is_doubled(data_dir: Path) -> None:
    url = EmbeddedPostgres(data_dir).url("postgres").replace("+psycopg", "")
    with psycopg.connect(url) as postgres:
        assert postgres.execute(DOUBLED_SQL).fetchall() == []
