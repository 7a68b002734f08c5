import asyncio

from app.identity.local.errors import IdentityError
from app.identity.local.security.passwords import PasswordHasher


async def test_password_hashing_does_not_block_the_event_loop() -> None:
    hasher = PasswordHasher()
    hashing = asyncio.gather(*(hasher.hash("a fine password") for _ in range(4)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
    assert len(set(await hashing)) == 4
    hasher.close()


async def test_password_hasher_refuses_more_than_its_queue_and_recovers() -> None:
    hasher = PasswordHasher(threads=1, waiting=1)
    answers = await asyncio.gather(*(hasher.matches("x", None) for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, IdentityError)]
    assert [error.status for error in refused] == [429, 429, 429]
    assert await hasher.matches("x", await hasher.hash("x"))
    hasher.close()


async def test_unusable_passwords_never_match() -> None:
    hasher = PasswordHasher()
    for password in ("", "-", "nul\0", "x" * 73):
        assert not await hasher.matches(password, None)
        assert not await hasher.matches(password, await hasher.hash("another"))
    stand_in = await hasher.hash("-")
    assert await hasher.matches("-", stand_in)
    assert not await hasher.matches("x" * 73, stand_in)
    hasher.close()
