"""How long short-term memory keeps the window of a session."""

import uuid

import pytest
from cryptography.fernet import Fernet

from app.adapters.in_process import InProcessShortTerm
from app.sessions.window import WindowMessage, WindowStore

HOUR = 3600
MESSAGES = [WindowMessage("user", "Hello", 1), WindowMessage("assistant", "Hi", 2)]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("active", "seconds"), [(True, 24 * HOUR), (False, HOUR)], ids=["after a turn", "rebuilt"])
async def test_window_of_an_active_conversation_lives_a_day_and_a_rebuilt_one_an_hour(
    active: bool, seconds: int
) -> None:
    clock, session_id = Clock(), uuid.uuid4()
    windows = WindowStore(InProcessShortTerm(clock=clock), Fernet.generate_key(), uuid.uuid4())
    await windows.save(session_id, MESSAGES, active=active)
    clock.now += seconds - 1
    assert await windows.load(session_id) == MESSAGES
    clock.now += 2
    assert await windows.load(session_id) is None


async def test_incognito_window_lives_a_day() -> None:
    clock, session_id = Clock(), uuid.uuid4()
    windows = WindowStore(InProcessShortTerm(clock=clock), Fernet.generate_key(), uuid.uuid4())
    await windows.save_incognito(session_id, MESSAGES)
    clock.now += 24 * HOUR - 1
    assert await windows.load_incognito(session_id) == MESSAGES
    clock.now += 2
    assert await windows.load_incognito(session_id) == []
