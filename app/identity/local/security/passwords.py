"""Hash and check passwords with bcrypt of cost 10, as GoTrue does, in separate threads."""

import asyncio
import re
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from passlib.hash import bcrypt

from app.identity.local.errors import IdentityError

Result = TypeVar("Result")

MAX_PASSWORD_BYTES = 72
COST = 10
MAX_IMPORTED_COST = 14
HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
UNKNOWN_HASH = "$2a$10$xa673xTi.zSfqtWXXYMeK.mp3LO5Hx/0bMfn6rbb3PMgmxuIa9pp6"
"""A hash that no password matches, checked for unknown addresses so that both responses take equally long."""

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
    """Raise GoTrue's error for a password that cannot be hashed or is too weak."""
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
    advice = f"Password should be at least {rules.shortest} characters"
    return f"{advice} and contain each of: {', '.join(rules.required)}." if rules.required else f"{advice}."


def usable(password: str) -> bool:
    return 0 < len(password.encode()) <= MAX_PASSWORD_BYTES and "\0" not in password


def importable(password_hash: str) -> bool:
    """Refuse expensive hashes, which would block a hashing thread for seconds at every sign-in."""
    found = HASH.fullmatch(password_hash)
    return found is not None and 4 <= int(found[1]) <= MAX_IMPORTED_COST


class PasswordHasher:
    """Two threads and a short queue, so that many sign-ins at once wait or are refused and nothing else slows down."""

    def __init__(self, threads: int = 2, waiting: int = 64, cost: int = COST) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._free = threads + waiting
        self._scheme = bcrypt.using(rounds=cost, ident="2a")

    async def hash(self, password: str) -> str:
        return await self._run(lambda: str(self._scheme.hash(password)))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Takes equally long for an account without a password, and returns False."""
        tried = password if usable(password) else "-"
        known = password_hash or UNKNOWN_HASH
        matches = await self._run(lambda: bool(self._scheme.verify(tried, known)))
        return matches and tried == password

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._free <= 0:
            raise IdentityError(429, "over_request_rate_limit", "Too many sign-ins at the moment", retry_after=1)
        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._free += 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
