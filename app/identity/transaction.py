"""Transactions of the caller: committed before the response is sent, and closed before a stream begins."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.resources import ResourcesDep
from app.identity.caller import Caller, CallerDep


def caller_transaction(database: Database, caller: Caller) -> AbstractAsyncContextManager[AsyncSession]:
    """For routes that continue after the commit, or that are called too often to pay for a dependency."""
    return database.transaction(caller.project_id, caller.user_id, caller.account_id)


async def open_transaction(resources: ResourcesDep, caller: CallerDep) -> AsyncIterator[AsyncSession]:
    async with caller_transaction(resources.database, caller) as tx:
        yield tx


async def open_system_transaction(resources: ResourcesDep, _: CallerDep) -> AsyncIterator[AsyncSession]:
    async with resources.database.system() as tx:
        yield tx


# scope="function" is required: by default, FastAPI commits after it has sent the response.
Transaction = Annotated[AsyncSession, Depends(open_transaction, scope="function")]
# For rows that belong to no single project: the organizations, projects and memberships of an account.
SystemTransaction = Annotated[AsyncSession, Depends(open_system_transaction, scope="function")]
