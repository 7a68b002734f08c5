import asyncio
import datetime as dt
import uuid

import pytest

from app.adapters.in_process import InProcessShortTerm
from app.identity.local.errors import IdentityError
from app.identity.local.security.lockout import Lockout, LockoutLimits
from app.identity.local.storage.sign_in_history import SignInHistory


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


async def no_history() -> SignInHistory:
    return SignInHistory()


async def known_network() -> SignInHistory:
    return SignInHistory(is_known_network=True)


async def test_lockout_counts_concurrent_guesses_in_remote_memory() -> None:
    lockout = Lockout(RemoteShortTerm(), LockoutLimits(guesses_per_account=5, free_guesses=100))
    answers = await asyncio.gather(
        *(lockout.guess_password("ada", "192.0.2.1", no_history) for _ in range(20)), return_exceptions=True
    )
    assert sum(answer is None for answer in answers) == 5


async def test_lockout_ends_and_says_when() -> None:
    clock = Clock()
    limits = LockoutLimits(guesses_per_account=1, guess_window_seconds=900)
    lockout = Lockout(InProcessShortTerm(clock=clock), limits, clock)
    await lockout.guess_password("ada", "192.0.2.1", no_history)
    clock.now += 600
    with pytest.raises(IdentityError) as locked:
        await lockout.guess_password("ada", "192.0.2.1", no_history)
    assert locked.value.retry_after == 300
    await lockout.guess_password("grace", "192.0.2.1", no_history)
    clock.now += 300
    await lockout.guess_password("ada", "192.0.2.1", no_history)


async def test_correct_guesses_do_not_count_against_an_ip_address() -> None:
    lockout = Lockout(InProcessShortTerm(), LockoutLimits(guesses_per_address=2))
    for number in range(10):
        await lockout.guess_password(f"person {number}", "192.0.2.1", no_history)
        await lockout.guessed_password_right(f"person {number}", "192.0.2.1")


async def test_wrong_guesses_are_delayed_before_they_are_refused() -> None:
    lockout = Lockout(InProcessShortTerm(), LockoutLimits(free_guesses=1, slowest_seconds=0.3))
    await lockout.guess_password("ada", "192.0.2.1", no_history)
    slow = asyncio.create_task(lockout.guess_password("ada", "192.0.2.1", no_history))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not slow.done()
    await slow


async def test_ipv6_addresses_of_one_network_are_counted_together() -> None:
    lockout = Lockout(InProcessShortTerm(), LockoutLimits(guesses_per_address=2, requests_per_address=2))
    for number in (1, 2):
        await lockout.guess_password(f"person {number}", f"2001:db8:0:1::{number}", no_history)
        await lockout.request(f"2001:db8:0:1::{number}")
    with pytest.raises(IdentityError):
        await lockout.guess_password("ada", "2001:db8:0:1:ffff::3", no_history)
    with pytest.raises(IdentityError):
        await lockout.request("2001:db8:0:1:ffff::3")
    await lockout.guess_password("ada", "2001:db8:0:2::1", no_history)
    await lockout.request("2001:db8:0:2::1")


async def test_strangers_do_not_lock_out_a_network_that_the_account_knows() -> None:
    lockout = Lockout(InProcessShortTerm(), LockoutLimits(guesses_per_account=3, free_guesses=1_000))
    for number in range(20):
        await lockout.guess_password("ada", f"198.51.100.{number}", known_network)
    await lockout.guess_password("ada", "192.0.2.1", known_network)
    with pytest.raises(IdentityError):
        await lockout.guess_password("ada", "192.0.2.2", no_history)


async def test_unknown_network_guesses_again_after_a_pause_that_strangers_cannot_extend() -> None:
    clock = Clock()
    limits = LockoutLimits(guesses_per_account=3, free_guesses=1_000)
    lockout = Lockout(InProcessShortTerm(clock=clock), limits, clock)
    for number in range(9):
        await lockout.guess_password("ada", f"198.51.100.{number}", known_network)
    with pytest.raises(IdentityError) as refused:
        await lockout.guess_password("ada", "192.0.2.1", no_history)
    assert refused.value.retry_after == 2**6
    for number in range(9, 60):
        await lockout.guess_password("ada", f"198.51.100.{number}", known_network)
    clock.now += 2**6
    await lockout.guess_password("ada", "192.0.2.1", no_history)
    with pytest.raises(IdentityError) as again:
        await lockout.guess_password("ada", "192.0.2.1", no_history)
    assert again.value.retry_after == limits.guess_window_seconds


async def test_unlocked_account_can_be_tried_again_from_every_network() -> None:
    clock = Clock()
    lockout = Lockout(InProcessShortTerm(clock=clock), LockoutLimits(guesses_per_account=1, free_guesses=9), clock)

    async def unlocked() -> SignInHistory:
        return SignInHistory(unlocked_at=dt.datetime.fromtimestamp(clock.now, dt.UTC))

    await lockout.guess_password("ada", "192.0.2.1", no_history)
    for address in ("192.0.2.1", "192.0.2.2"):
        with pytest.raises(IdentityError):
            await lockout.guess_password("ada", address, no_history)
    clock.now += 1
    await lockout.guess_password("ada", "192.0.2.1", unlocked)


async def test_password_changes_and_refreshes_are_limited_per_account() -> None:
    limits = LockoutLimits(password_changes_per_account=2, refreshes_per_account=2)
    lockout = Lockout(InProcessShortTerm(), limits)
    ada, grace = uuid.uuid4(), uuid.uuid4()
    for count in (lockout.change_password, lockout.refresh):
        await count(ada)
        await count(ada)
        with pytest.raises(IdentityError):
            await count(ada)
        await count(grace)


async def test_unknown_refresh_tokens_do_not_count_against_passwords_of_their_network() -> None:
    limits = LockoutLimits(refreshes_per_account=2, guesses_per_address=1, requests_per_address=1)
    lockout = Lockout(InProcessShortTerm(), limits)
    for _ in range(2):
        await lockout.refresh_unknown("192.0.2.1")
    with pytest.raises(IdentityError):
        await lockout.refresh_unknown("192.0.2.1")
    await lockout.guess_password("ada", "192.0.2.1", no_history)
