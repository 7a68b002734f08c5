"""Hash and check passwords: bcrypt of cost 10, as GoTrue writes it, in threads of its own."""

import asyncio
import re
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from passlib.hash import bcrypt

from app.identity.local.errors import IdentityError

Answer = TypeVar("Answer")

LONGEST_BYTES = 72
COST = 10
COSTLIEST_IMPORT = 14
HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
NOBODY = "$2a$10$xa673xTi.zSfqtWXXYMeK.mp3LO5Hx/0bMfn6rbb3PMgmxuIa9pp6"
"""The hash of a password nobody has: checked for addresses nobody has, so that both answers take equally long."""

CHARACTERS = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "digits": string.digits,
    "symbols": string.punctuation,
}


@dataclass(frozen=True, slots=True)
class PasswordRules:
    shortest: int = 8
    required: tuple[str, ...] = ()
    """Any of `lower`, `upper`, `digits`, `symbols`."""


def check_rules(password: str, rules: PasswordRules) -> None:
    """Raise the error GoTrue raises for a password that cannot be hashed or is too easy."""
    if not usable(password):
        raise IdentityError(400, "validation_failed", "Password cannot be longer than 72 bytes or contain a NUL byte")
    reasons = []
    if len(password) < rules.shortest:
        reasons.append("length")
    if any(not set(password) & set(CHARACTERS[name]) for name in rules.required):
        reasons.append("characters")
    if reasons:
        raise IdentityError(422, "weak_password", _advice(rules), reasons=tuple(reasons))


def _advice(rules: PasswordRules) -> str:
    asked = f"Password should be at least {rules.shortest} characters"
    return f"{asked} and contain each of: {', '.join(rules.required)}." if rules.required else f"{asked}."


def usable(password: str) -> bool:
    return 0 < len(password.encode()) <= LONGEST_BYTES and "\0" not in password


def importable(password_hash: str) -> bool:
    """A costlier hash than that would let one account's owner keep a thread busy for seconds."""
    found = HASH.fullmatch(password_hash)
    return found is not None and 4 <= int(found[1]) <= COSTLIEST_IMPORT


class PasswordHasher:
    """Two threads and a short queue: a flood of sign-ins waits or is turned away, the rest of the house goes on."""

    def __init__(self, threads: int = 2, waiting: int = 64) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._free = threads + waiting
        self._scheme = bcrypt.using(rounds=COST, ident="2a")

    async def hash(self, password: str) -> str:
        return await self._run(lambda: str(self._scheme.hash(password)))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """False for an account without a password, in the time it takes to check one."""
        tried = password if usable(password) else "-"
        known = password_hash or NOBODY
        matches = await self._run(lambda: bool(self._scheme.verify(tried, known)))
        return matches and tried == password

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        if self._free <= 0:
            raise IdentityError(429, "over_request_rate_limit", "Too many people are signing in", retry_after=1)
        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._free += 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
