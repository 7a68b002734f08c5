"""How long short-term memory keeps the window of a session."""

import uuid
from dataclasses import dataclass, field

import httpx
from cryptography.fernet import Fernet

from app.adapters.in_process import InProcessShortTerm
from app.sessions.window import WindowMessage, WindowStore

HOUR = 3600
MESSAGES = [WindowMessage("user", "Hello", 1), WindowMessage("assistant", "Hi", 2)]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Short:
    """Short-term memory of one project, whose time a test moves."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.windows = WindowStore(InProcessShortTerm(clock=self.clock), Fernet.generate_key(), uuid.uuid4())
        self.session_id = uuid.uuid4()

    async def load(self) -> list[WindowMessage] | None:
        return await self.windows.load(self.session_id, "ana")


async def test_window_of_an_active_person_lives_a_day() -> None:
    """The person writes in another session meanwhile."""
    short = Short()
    await short.windows.record_activity("ana")
    await short.windows.save(short.session_id, MESSAGES, active=True)
    for _ in range(12):
        short.clock.now += 2 * HOUR - 1
        assert await short.load() == MESSAGES
        await short.windows.record_activity("ana")
    short.clock.now += 13
    assert await short.load() is None


async def test_window_lives_an_hour_after_two_hours_of_inactivity() -> None:
    short = Short()
    await short.windows.record_activity("ana")
    await short.windows.save(short.session_id, MESSAGES, active=True)
    short.clock.now += 3 * HOUR - 1
    assert await short.load() == MESSAGES
    short.clock.now += 2
    assert await short.load() is None


async def test_activity_of_one_person_keeps_no_window_of_another() -> None:
    short = Short()
    await short.windows.record_activity("bert")
    await short.windows.save(short.session_id, MESSAGES, active=True)
    assert await short.load() is None


async def test_window_that_was_rebuilt_lives_an_hour_until_the_turn_ends() -> None:
    short = Short()
    await short.windows.record_activity("ana")
    await short.windows.save(short.session_id, MESSAGES, active=False)
    short.clock.now += HOUR - 1
    assert await short.load() == MESSAGES
    short.clock.now += 2
    assert await short.load() is None


async def test_incognito_window_lives_a_day() -> None:
    clock, session_id = Clock(), uuid.uuid4()
    windows = WindowStore(InProcessShortTerm(clock=clock), Fernet.generate_key(), uuid.uuid4())
    await windows.save_incognito(session_id, MESSAGES)
    clock.now += 24 * HOUR - 1
    assert await windows.load_incognito(session_id) == MESSAGES
    clock.now += 2
    assert await windows.load_incognito(session_id) == []


async def test_chat_turn_makes_a_user_active(client: httpx.AsyncClient) -> None:
    """The row of the session has the time already, so no request writes it once more."""
    remembered = {"user_id": "ana", "infer": False, "messages": "I like tea"}
    await client.post("/v3/memories/add/", json=remembered)
    before = (await client.get("/v2/entities/user/ana/")).json()
    chat = {"user_id": "ana", "message": "Hello", "privacy_mode": "pause_memories"}
    assert (await client.post("/v1/chat", json=chat)).status_code == 200
    after = (await client.get("/v2/entities/user/ana/")).json()
    assert before["last_active"] == before["updated_at"] == after["updated_at"] < after["last_active"]
