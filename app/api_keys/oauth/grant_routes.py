"""/v1/grants: what the signed-in person has granted to clients of OAuth in this project, whatever their role is."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from app.api_keys.models import ApiKey
from app.api_keys.repository import ApiKeyRepository
from app.api_keys.schemas import ApiKeyRead
from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.errors import NotFound
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import ResourcesDep
from app.identity.caller import Person

router = own_router(prefix="/v1/grants", tags=["API keys"])


async def open_own_grants(caller: Person, resources: ResourcesDep) -> AsyncIterator[AsyncSession]:
    """Row-level security hides the keys of a project from its end users. Each statement names the account instead."""
    async with resources.database.transaction(caller.project_id, None, caller.account_id) as tx:
        yield tx


OwnGrants = Annotated[AsyncSession, Depends(open_own_grants, scope="function")]


@router.get("", response_model=Page[ApiKeyRead])
async def list_grants(caller: Person, tx: OwnGrants, limit: Limit = 50, cursor: Cursor = None) -> PageRows[ApiKeyRead]:
    """Lists the applications that may act as you in this project, with their scopes."""
    mine = (ApiKey.created_by == caller.account_id, ApiKey.client_id.is_not(None))
    page = await ApiKeyRepository(tx, caller.project_id).page(limit, cursor, *mine)
    return PageRows([ApiKeyRead.render(row, {}) for row in page.results], page.next)


@router.delete("/{grant_id}")
async def end_grant(grant_id: UUID, caller: Person, tx: OwnGrants) -> Done:
    """Ends the access of an application immediately."""
    keys = ApiKeyRepository(tx, caller.project_id)
    row = await keys.find(grant_id)
    if row is None or row.client_id is None or row.created_by != caller.account_id:
        raise NotFound(f"There is no grant {grant_id}")
    await keys.revoke(grant_id)
    return Done(message="Access ended")
