import asyncio

import pytest

from app.identity.local.errors import IdentityError
from app.identity.local.schemas import read_duration, read_email
from app.identity.local.security.passwords import PasswordHasher


async def test_the_event_loop_goes_on_while_passwords_are_hashed() -> None:
    hasher = PasswordHasher()
    hashing = asyncio.gather(*(hasher.hash("a fine password") for _ in range(4)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
    assert len(set(await hashing)) == 4
    hasher.close()


async def test_a_flood_is_turned_away_and_the_queue_empties() -> None:
    hasher = PasswordHasher(threads=1, waiting=1)
    answers = await asyncio.gather(*(hasher.matches("x", None) for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, IdentityError)]
    assert [error.status for error in refused] == [429, 429, 429]
    assert await hasher.matches("x", await hasher.hash("x"))
    hasher.close()


async def test_nobodys_password_opens_nothing() -> None:
    hasher = PasswordHasher()
    for password in ("", "-", "nul\0", "x" * 73):
        assert not await hasher.matches(password, None)
        assert not await hasher.matches(password, await hasher.hash("another"))
    stand_in = await hasher.hash("-")
    assert await hasher.matches("-", stand_in)
    assert not await hasher.matches("x" * 73, stand_in)
    hasher.close()


@pytest.mark.parametrize(
    ("email", "valid"),
    [
        ("Ada.Lovelace+notes@Example.com", True),
        ("ada@localhost", True),
        ("ada@home.internal", True),
        ("ada", False),
        ("@example.com", False),
        ("ada@", False),
        ("ada@@example.com", False),
        ("ada@-example.com", False),
        ("ada@example..com", False),
        ("ada@exämple.com", False),
        ("ada@example.com\n", False),
        ("a" * 65 + "@example.com", False),
        ("a@" + "b." * 130 + "com", False),
        ("", False),
        (None, False),
    ],
)
def test_addresses_are_read_as_gotrue_reads_them(email: str | None, valid: bool) -> None:
    if valid and email:
        assert read_email(email) == email.lower()
    else:
        with pytest.raises(IdentityError) as refused:
            read_email(email)
        assert refused.value.code == "validation_failed"


@pytest.mark.parametrize(("text", "hours"), [("24h", 24), ("1h30m", 1.5), ("3600s", 1), ("none", None)])
def test_durations_are_read_as_go_writes_them(text: str, hours: float | None) -> None:
    length = read_duration(text)
    assert (length.total_seconds() / 3600 if length else None) == hours
