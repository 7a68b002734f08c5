"""Bounds the bytes of all bodies that the server holds at the same time."""

from collections import Counter

from app.core.errors import Unavailable

TOO_MANY_BYTES = (
    "The server holds too many large requests, or too many from you. Retry in a moment, and send fewer at once."
)


class BodyBudget:
    """A source, which is an account or a network address, may hold as much as it leaves free for others: half of all if
    it is alone, and less as others hold some. So there is nearly always room for the body of one more."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: Counter[str] = Counter()

    def take(self, source: str, size: int) -> None:
        if self._held[source] + size > self._free - size:
            raise Unavailable(TOO_MANY_BYTES, headers={"Retry-After": "1"})
        self._free -= size
        self._held[source] += size

    def give_back(self, source: str, size: int) -> None:
        self._free += size
        self._held[source] -= size
        if not self._held[source]:
            del self._held[source]


class HeldBody:
    """What one request takes of the budget, until it is answered."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._source = ""
        self._size = 0

    def grow(self, source: str, size: int) -> None:
        if size > self._size:
            self._budget.take(source, size - self._size)
            self._source, self._size = source, size

    def release(self) -> None:
        if self._size:
            self._budget.give_back(self._source, self._size)
            self._size = 0
