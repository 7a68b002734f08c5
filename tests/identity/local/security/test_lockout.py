import asyncio

import pytest

from app.adapters.in_process import InProcessShortTerm
from app.identity.local.errors import IdentityError
from app.identity.local.security.lockout import Lockout, LockoutLimits


class RemoteShortTerm(InProcessShortTerm):
    """Short-term memory behind a network: other tasks run during each call."""

    async def get(self, key: str) -> bytes | None:
        value = await super().get(key)
        await asyncio.sleep(0)
        return value


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_lockout_counts_concurrent_guesses_in_remote_memory() -> None:
    lockout = Lockout(RemoteShortTerm(), LockoutLimits(guesses_per_account=5, free_guesses=100))
    answers = await asyncio.gather(*(lockout.guess("ada", "192.0.2.1") for _ in range(20)), return_exceptions=True)
    assert sum(answer is None for answer in answers) == 5


async def test_lockout_ends_and_says_when() -> None:
    clock = Clock()
    limits = LockoutLimits(guesses_per_account=1, guess_window_seconds=900)
    lockout = Lockout(InProcessShortTerm(clock=clock), limits, clock)
    await lockout.guess("ada", "192.0.2.1")
    clock.now += 600
    with pytest.raises(IdentityError) as locked:
        await lockout.guess("ada", "192.0.2.1")
    assert locked.value.retry_after == 300
    await lockout.guess("grace", "192.0.2.1")
    clock.now += 300
    await lockout.guess("ada", "192.0.2.1")


async def test_correct_guesses_do_not_count_against_an_ip_address() -> None:
    lockout = Lockout(InProcessShortTerm(), LockoutLimits(guesses_per_address=2))
    for number in range(10):
        await lockout.guess(f"person {number}", "192.0.2.1")
        await lockout.guessed_right(f"person {number}", "192.0.2.1")


async def test_wrong_guesses_are_delayed_before_they_are_refused() -> None:
    lockout = Lockout(InProcessShortTerm(), LockoutLimits(free_guesses=1, slowest_seconds=0.05))
    await lockout.guess("ada", "192.0.2.1")
    slow = asyncio.create_task(lockout.guess("ada", "192.0.2.1"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not slow.done()
    await slow


async def test_ipv6_addresses_of_one_network_are_counted_together() -> None:
    lockout = Lockout(InProcessShortTerm(), LockoutLimits(guesses_per_address=2, requests_per_address=2))
    for number in (1, 2):
        await lockout.guess(f"person {number}", f"2001:db8:0:1::{number}")
        await lockout.request(f"2001:db8:0:1::{number}")
    with pytest.raises(IdentityError):
        await lockout.guess("ada", "2001:db8:0:1:ffff::3")
    with pytest.raises(IdentityError):
        await lockout.request("2001:db8:0:1:ffff::3")
    await lockout.guess("ada", "2001:db8:0:2::1")
    await lockout.request("2001:db8:0:2::1")
