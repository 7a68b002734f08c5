"""The caller's transaction: committed before the response leaves, closed before a stream begins."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.resources import Resources, ResourcesDep
from app.identity.caller import Caller, CallerDep


async def open_transaction(resources: ResourcesDep, caller: CallerDep) -> AsyncIterator[AsyncSession]:
    async with resources.database.transaction(caller.project_id, caller.user_id, caller.account_id) as tx:
        yield tx


async def open_system_transaction(resources: ResourcesDep, _: CallerDep) -> AsyncIterator[AsyncSession]:
    async with resources.database.system() as tx:
        yield tx


# scope="function" matters: the default commits after the client has already been told 200.
Transaction = Annotated[AsyncSession, Depends(open_transaction, scope="function")]
# For what belongs to no single project: a person's organizations, projects and memberships.
SystemTransaction = Annotated[AsyncSession, Depends(open_system_transaction, scope="function")]


def opened(resources: Resources, caller: Caller) -> AbstractAsyncContextManager[AsyncSession]:
    """For calls that go on after the commit, or that are too frequent for anything around them."""
    return resources.database.transaction(caller.project_id, caller.user_id, caller.account_id)
