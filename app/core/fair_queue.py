"""Shares of one tenant in what all tenants use: a queue in which they take turns, and a limit for each of them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")
Tenant = UUID | None
"""A project. None is work of the server itself."""


class FairQueue(Generic[T]):
    """First in, first out for each tenant. The tenants take turns, however many items each of them has."""

    def __init__(self) -> None:
        self._tenants: dict[Tenant, deque[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def __iter__(self) -> Iterator[Tenant]:
        """The tenants that have items, in the order of their turns."""
        return iter(self._tenants)

    def put(self, tenant: Tenant, item: T) -> None:
        self._tenants.setdefault(tenant, deque()).append(item)

    def put_back(self, tenant: Tenant, item: T) -> None:
        """Ahead of the tenant's other items, for an item that needs another turn."""
        self._tenants.setdefault(tenant, deque()).appendleft(item)

    def peek(self) -> T:
        return self._tenants[next(iter(self))][0]

    def pop(self) -> T:
        return self.pop_from(next(iter(self)))

    def pop_from(self, tenant: Tenant) -> T:
        """The first item of a tenant, which then waits for its next turn behind the other tenants."""
        items = self._tenants.pop(tenant)
        item = items.popleft()
        if items:
            self._tenants[tenant] = items
        return item


@dataclass(slots=True)
class TenantUse:
    free: asyncio.Semaphore
    callers: int = field(default=0)


class TenantLimit:
    """Lets each tenant have `at_once` calls in progress. Further calls of that tenant wait."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._tenants: dict[Tenant, TenantUse] = {}

    @asynccontextmanager
    async def enter(self, tenant: Tenant) -> AsyncIterator[None]:
        use = self._tenants.setdefault(tenant, TenantUse(asyncio.Semaphore(self._at_once)))
        use.callers += 1
        try:
            async with use.free:
                yield
        finally:
            use.callers -= 1
            if not use.callers:
                del self._tenants[tenant]
