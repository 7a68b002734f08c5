import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest, Forbidden
from app.core.resources import Resources
from app.gateways.mem0.memories.delete import forget_scope
from app.gateways.mem0.responses import Answer
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.entities import COLUMNS, EntityRepository, Type
from app.memory.filters.tree import OneOf
from app.profiles.repository import ProfileRepository

SPELLINGS: dict[str, Type] = {
    **{name: name for name in COLUMNS},
    **{f"{name}s": name for name in COLUMNS},
    **{f"{name}_id": name for name in COLUMNS},
}


def read_type(text: str) -> Type:
    if text not in SPELLINGS:
        raise BadRequest("Invalid entity type: there are user, agent, app and run")
    return SPELLINGS[text]


def read_name(text: str) -> str:
    if not 1 <= len(text) <= 500 or "\0" in text:
        raise BadRequest("The name of an entity has 1 to 500 characters, none of them NUL")
    return text


def as_entity(row: Row[Any], caller: Caller) -> Answer:
    return {
        "id": str(row.number),
        "name": row.entity_id,
        "type": row.type,
        "display_name": row.display_name,
        "metadata": row.metadata,
        "total_memories": row.total,
        "owner": str(caller.project_id),
        "organization": str(caller.organization_id),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def totals(rows: Sequence[Row[Any]]) -> dict[str, int]:
    return {f"total_{kind}s": sum(row.type == kind for row in rows) for kind in COLUMNS}


async def describe_entity(
    tx: AsyncSession,
    caller: Caller,
    kind: Type,
    name: str,
    display_name: str | None,
    metadata: Mapping[str, object],
) -> Row[Any]:
    """A user described is a user seen, who gets the default profile."""
    if kind == "user":
        caller.act_for(name)
        await ProfileRepository(tx, caller.project_id).default_of(name)
    elif caller.user_id is not None:
        raise Forbidden(f"You are signed in as an end user: an {kind} belongs to the whole project")
    entities = EntityRepository(tx, caller.project_id)
    await entities.describe(kind, name, display_name, metadata)
    return await entities.one(kind, name)


async def forget_entity(resources: Resources, caller: Caller, kind: Type, name: str) -> uuid.UUID:
    """With every memory of theirs, in whatever profile, and what was said about them.

    Nobody of that name is no error: a client that deletes all entities in turn meets some whose last memory has just
    gone with another's.
    """
    async with caller_transaction(resources.database, caller) as tx:
        await EntityRepository(tx, caller.project_id).forget(kind, name)
    return await forget_scope(resources, caller, of_entity(kind, name), "*", "DELETE_USER")


def of_entity(kind: Type, name: str) -> OneOf:
    return OneOf(f"{kind}_id", (name,))
