"""One request to /graphql: who calls, and with which scopes its fields may read and write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.security import SecurityScopes
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.resources import Resources
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller, check_scopes
from app.identity.scopes import Scope
from app.identity.transaction import caller_transaction


@dataclass(frozen=True, slots=True)
class GraphqlCall:
    request: Request
    resources: Resources
    caller: Caller
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A request holds one connection to the database, as through the other APIs, however many fields it has."""

    @asynccontextmanager
    async def allowed(self, scope: Scope, *, deletes: bool = False) -> AsyncIterator[None]:
        check_scopes(self.caller, SecurityScopes([scope]))
        if scope.endswith(":write") and not deletes:
            # Deletions are small, and people may need them to make room.
            self.resources.disk_space.require()
        async with self.one_at_a_time:
            yield

    @asynccontextmanager
    async def transaction(self, scope: Scope, *, deletes: bool = False) -> AsyncIterator[AsyncSession]:
        async with (
            self.allowed(scope, deletes=deletes),
            caller_transaction(self.resources.database, self.caller) as tx,
        ):
            yield tx


def render(model: type[BaseModel], row: object) -> JsonObject:
    return model.model_validate(row).model_dump()
