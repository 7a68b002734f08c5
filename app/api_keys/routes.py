"""/v1/api-keys: credentials of a project for server-to-server calls."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.api_keys.models import ApiKey
from app.api_keys.repository import ApiKeyRepository, refuse_grant
from app.api_keys.rights import choose_scopes, refuse_later_expiry, refuse_stronger_key
from app.api_keys.schemas import ApiKeyCreate, ApiKeyIssued, ApiKeyPatch, ApiKeyRead, ApiKeyRotate
from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import ResourcesDep
from app.identity.administration import Administrative
from app.identity.caller import Caller, KeyReader, KeyWriter
from app.identity.scopes import Scope
from app.identity.transaction import Transaction

router = own_router(prefix="/v1/api-keys", tags=["API keys"])


@router.post("", status_code=201, response_model=ApiKeyIssued, dependencies=[Administrative])
async def create_key(body: ApiKeyCreate, caller: KeyWriter, tx: Transaction, resources: ResourcesDep) -> ApiKeyIssued:
    """Creates a key. The response contains `key`, which is shown only once."""
    expires_at = body.expires_at if "expires_at" in body.model_fields_set else caller.key_expires_at
    refuse_later_expiry(caller, expires_at)
    row, text = await ApiKeyRepository(tx, caller.project_id).issue(
        resources.key_pepper,
        name=body.name,
        scopes=choose_scopes(caller, body.scopes),
        expires_at=expires_at,
        created_by=caller.creator,
    )
    [key] = await render_keys(caller, tx, [row])
    return ApiKeyIssued(**key.model_dump(), key=text)


@router.get("", response_model=Page[ApiKeyRead])
async def list_keys(
    caller: KeyReader, tx: Transaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[ApiKeyRead]:
    """Lists the keys of the project with their creators, without their secrets."""
    page = await ApiKeyRepository(tx, caller.project_id).page(limit, cursor)
    return PageRows(await render_keys(caller, tx, page.results), page.next)


@router.get("/{key_id}", response_model=ApiKeyRead)
async def get_key(key_id: UUID, caller: KeyReader, tx: Transaction) -> ApiKeyRead:
    """Returns a key, without its secret."""
    [key] = await render_keys(caller, tx, [await ApiKeyRepository(tx, caller.project_id).get(key_id)])
    return key


@router.patch("/{key_id}", response_model=ApiKeyRead, dependencies=[Administrative])
async def change_key(key_id: UUID, body: ApiKeyPatch, caller: KeyWriter, tx: Transaction) -> ApiKeyRead:
    """Changes the name, the scopes or the expiry of a key that has no more rights than the caller."""
    keys = ApiKeyRepository(tx, caller.project_id)
    row = await keys.lock(key_id)
    refuse_stronger_key(caller, row)
    refuse_grant(row)
    changes = body.model_dump(exclude_unset=True)
    if changes.get("name", "") is None:
        del changes["name"]
    if "scopes" in changes:
        changes["scopes"] = choose_scopes(caller, body.scopes)
    if "expires_at" in changes:
        refuse_later_expiry(caller, body.expires_at)
    row = await keys.update(key_id, **changes)
    [key] = await render_keys(caller, tx, [row])
    return key


@router.post("/{key_id}/rotate", response_model=ApiKeyIssued, dependencies=[Administrative])
async def rotate_key(
    key_id: UUID, caller: KeyWriter, tx: Transaction, resources: ResourcesDep, body: ApiKeyRotate | None = None
) -> ApiKeyIssued:
    """Issues a new secret. The old one keeps working for `overlap_seconds`, so that you can switch without downtime."""
    overlap = dt.timedelta(seconds=(body or ApiKeyRotate()).overlap_seconds)
    keys = ApiKeyRepository(tx, caller.project_id)
    refuse_stronger_key(caller, await keys.lock(key_id))
    row, text = await keys.rotate(key_id, resources.key_pepper, overlap, creator=caller.creator)
    [key] = await render_keys(caller, tx, [row])
    return ApiKeyIssued(**key.model_dump(), key=text)


@router.delete("/{key_id}", dependencies=[Administrative])
async def revoke_key(key_id: UUID, caller: KeyWriter, tx: Transaction) -> Done:
    """Revokes a key immediately."""
    keys = ApiKeyRepository(tx, caller.project_id)
    refuse_stronger_key(caller, await keys.lock(key_id))
    await keys.revoke(key_id)
    return Done(message="API key revoked")


async def render_keys(caller: Caller, tx: AsyncSession, rows: Sequence[ApiKey]) -> list[ApiKeyRead]:
    """Addresses are shown to callers that may list the members of the project."""
    may_see = Scope.PROJECTS_READ in caller.scopes
    emails = await ApiKeyRepository(tx, caller.project_id).emails_of_creators() if may_see else {}
    return [ApiKeyRead.render(row, emails) for row in rows]
