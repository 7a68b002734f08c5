"""/v1/memory_stores: profiles as Anthropic's memory stores."""

import datetime as dt

from fastapi import APIRouter, Request
from sqlalchemy import ColumnElement

from app.core.errors import BadRequest
from app.core.resources import ResourcesDep
from app.gateways.anthropic.ids import STORE, StoreId, write_id
from app.gateways.anthropic.render import render_store
from app.gateways.anthropic.schemas import (
    MAX_PAIRS,
    DeletedMemoryStore,
    MemoryStoreCreate,
    MemoryStorePage,
    MemoryStorePatch,
    MemoryStoreRead,
    PageLimit,
    PageToken,
    Since,
    Until,
)
from app.gateways.anthropic.stores import OWN_USER, choose_user, profiles_of, require_open
from app.identity.caller import ProfileReader, ProfileWriter
from app.identity.transaction import Transaction, caller_transaction
from app.portability.delete_profile import delete_profile_data
from app.profiles.models import Profile

router = APIRouter(prefix="/v1/memory_stores", tags=["Anthropic"])


@router.post("")
async def create_memory_store(
    body: MemoryStoreCreate, request: Request, caller: ProfileWriter, tx: Transaction
) -> MemoryStoreRead:
    """Creates a profile. It belongs to the user that `metadata.user_id` or the header `X-User-Id` names."""
    metadata = body.metadata or {}
    profile = await profiles_of(tx, caller).create(
        choose_user(request, caller, metadata),
        is_default=False,
        name=body.name,
        description=body.description,
        metadata_=metadata,
    )
    return render_store(profile)


@router.get("")
async def list_memory_stores(
    caller: ProfileReader,
    tx: Transaction,
    limit: PageLimit = 20,
    page: PageToken = None,
    include_archived: bool = False,
    since: Since = None,
    until: Until = None,
) -> MemoryStorePage:
    """Lists the profiles of the project, or those of the signed-in end user, newest first."""
    where: list[ColumnElement[bool]] = [] if include_archived else [Profile.archived_at.is_(None)]
    where += [Profile.created_at >= since] if since else []
    where += [Profile.created_at <= until] if until else []
    found = await profiles_of(tx, caller).page(limit, page, *where)
    return MemoryStorePage(data=[render_store(each) for each in found.results], next_page=found.next)


@router.get("/{memory_store_id}")
async def get_memory_store(store_id: StoreId, caller: ProfileReader, tx: Transaction) -> MemoryStoreRead:
    """Returns one profile."""
    return render_store(await profiles_of(tx, caller).get(store_id))


@router.post("/{memory_store_id}")
async def change_memory_store(
    store_id: StoreId, body: MemoryStorePatch, caller: ProfileWriter, tx: Transaction
) -> MemoryStoreRead:
    """Changes the name, the description and pairs of the metadata."""
    profiles = profiles_of(tx, caller)
    profile = await profiles.get(store_id)
    require_open(profile.archived_at)
    merged = {**profile.metadata_, **(body.metadata or {})}
    metadata = {name: value for name, value in merged.items() if value is not None}
    if len(metadata) > MAX_PAIRS:
        raise BadRequest(f"`metadata` has at most {MAX_PAIRS} pairs.")
    changes = {
        name: value for name, value in (("name", body.name), ("description", body.description)) if value is not None
    }
    profile = await profiles.update(store_id, metadata_=metadata, **changes)
    await tx.refresh(profile)
    return render_store(profile)


@router.post("/{memory_store_id}/archive")
async def archive_memory_store(store_id: StoreId, caller: ProfileWriter, tx: Transaction) -> MemoryStoreRead:
    """From now on, the memories of the store can be read and deleted only. This cannot be undone."""
    profiles = profiles_of(tx, caller)
    profile = await profiles.get(store_id)
    if profile.archived_at is None:
        profile = await profiles.update(store_id, archived_at=dt.datetime.now(dt.UTC))
        await tx.refresh(profile)
    return render_store(profile)


@router.delete("/{memory_store_id}")
async def delete_memory_store(store_id: StoreId, caller: ProfileWriter, resources: ResourcesDep) -> DeletedMemoryStore:
    """Deletes a profile with everything in it. The last profile of a user stays, unless it was created as a store."""
    async with caller_transaction(resources.database, caller) as tx:
        profile = await profiles_of(tx, caller).get(store_id)
    await delete_profile_data(resources, caller, store_id, even_last=profile.user_id.startswith(OWN_USER))
    return DeletedMemoryStore(id=write_id(STORE, store_id))
