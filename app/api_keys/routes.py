"""/v1/api-keys: credentials of a project for service-to-service calls."""

import datetime as dt
from uuid import UUID

from fastapi import APIRouter

from app.api_keys.models import ApiKey
from app.api_keys.repository import ApiKeyRepository
from app.api_keys.schemas import ApiKeyCreate, ApiKeyIssued, ApiKeyPatch, ApiKeyRead, ApiKeyRotate
from app.core.database.pagination import Cursor, Limit, Page, Rows
from app.core.errors import Forbidden
from app.core.http.schemas import Done
from app.core.resources import ResourcesDep
from app.identity.caller import Caller, KeyReader, KeyWriter
from app.identity.scopes import DEFAULT_FOR_KEYS, Scope
from app.identity.transaction import Transaction

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])


def grantable(caller: Caller, wanted: list[Scope] | None) -> list[str]:
    chosen = frozenset(wanted) if wanted else DEFAULT_FOR_KEYS & caller.scopes
    if not chosen:
        raise Forbidden("You have none of the scopes that a key is given by default: name some of yours as `scopes`")
    refuse_beyond(caller, chosen)
    return sorted(chosen)


def refuse_beyond(caller: Caller, chosen: frozenset[Scope]) -> None:
    """Nobody hands out more than they have."""
    if beyond := chosen - caller.scopes:
        raise Forbidden(f"You cannot grant what you lack yourself: {', '.join(sorted(beyond))}")


@router.post("", status_code=201, response_model=ApiKeyIssued)
async def create_key(body: ApiKeyCreate, caller: KeyWriter, tx: Transaction, resources: ResourcesDep) -> ApiKeyIssued:
    row, text = await ApiKeyRepository(tx, caller.project_id).issue(
        resources.key_pepper,
        name=body.name,
        scopes=grantable(caller, body.scopes),
        expires_at=body.expires_at,
        created_by=caller.account_id,
    )
    return issued(row, text)


@router.get("", response_model=Page[ApiKeyRead])
async def list_keys(caller: KeyReader, tx: Transaction, limit: Limit = 50, cursor: Cursor = None) -> Rows[ApiKey]:
    return await ApiKeyRepository(tx, caller.project_id).page(limit, cursor)


@router.get("/{key_id}", response_model=ApiKeyRead)
async def get_key(key_id: UUID, caller: KeyReader, tx: Transaction) -> ApiKey:
    return await ApiKeyRepository(tx, caller.project_id).get(key_id)


@router.patch("/{key_id}", response_model=ApiKeyRead)
async def change_key(key_id: UUID, body: ApiKeyPatch, caller: KeyWriter, tx: Transaction) -> ApiKey:
    changes = body.model_dump(exclude_unset=True)
    if changes.get("name", "") is None:
        del changes["name"]
    if "scopes" in changes:
        changes["scopes"] = grantable(caller, body.scopes)
    return await ApiKeyRepository(tx, caller.project_id).update(key_id, **changes)


@router.post("/{key_id}/rotate", response_model=ApiKeyIssued)
async def rotate_key(
    key_id: UUID, caller: KeyWriter, tx: Transaction, resources: ResourcesDep, body: ApiKeyRotate | None = None
) -> ApiKeyIssued:
    """A new secret; the old one keeps working for the overlap, so that nothing stops in between."""
    overlap = dt.timedelta(seconds=(body or ApiKeyRotate()).overlap_seconds)
    keys = ApiKeyRepository(tx, caller.project_id)
    # The new secret is shown to the caller: of a stronger key it would be a way up.
    refuse_beyond(caller, frozenset(Scope(scope) for scope in (await keys.get(key_id)).scopes))
    row, text = await keys.rotate(key_id, resources.key_pepper, overlap)
    return issued(row, text)


@router.delete("/{key_id}")
async def revoke_key(key_id: UUID, caller: KeyWriter, tx: Transaction) -> Done:
    """Acts at once: the next request with this key is refused."""
    await ApiKeyRepository(tx, caller.project_id).revoke(key_id)
    return Done(message="API key revoked")


def issued(row: ApiKey, text: str) -> ApiKeyIssued:
    return ApiKeyIssued(**ApiKeyRead.model_validate(row).model_dump(), key=text)
