import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import BadRequest, Forbidden
from app.core.resources import Resources
from app.erasure.erase import erase
from app.erasure.models import SubjectKind
from app.erasure.subject import Subject
from app.gateways.mem0.memories.delete import record_deletion
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller
from app.memory.entities import ENTITY_COLUMNS, EntityRepository, EntityType
from app.memory.ledger import EventRequest
from app.profiles.repository import ProfileRepository

ENTITY_TYPES: dict[str, EntityType] = {
    **{name: name for name in ENTITY_COLUMNS},
    **{f"{name}s": name for name in ENTITY_COLUMNS},
    **{f"{name}_id": name for name in ENTITY_COLUMNS},
}


def parse_entity_type(text: str) -> EntityType:
    if text not in ENTITY_TYPES:
        raise BadRequest("Invalid entity type. Use user, agent, app or run")
    return ENTITY_TYPES[text]


def check_entity_id(text: str) -> str:
    if not 1 <= len(text) <= 500 or "\0" in text:
        raise BadRequest("The name of an entity has 1 to 500 characters and contains no NUL")
    return text


def render_entity(row: Row[Any], caller: Caller) -> JsonObject:
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
        "last_active": row.last_active,
    }


def count_by_type(rows: Sequence[Row[Any]]) -> dict[str, int]:
    return {f"total_{kind}s": sum(row.type == kind for row in rows) for kind in ENTITY_COLUMNS}


async def describe_entity(
    tx: AsyncSession,
    caller: Caller,
    kind: EntityType,
    name: str,
    display_name: str | None,
    metadata: Mapping[str, object],
) -> Row[Any]:
    """Describing a user that is not known yet creates the user's default profile."""
    if kind == "user":
        caller.act_for(name)
        await ProfileRepository(tx, caller.project_id).default_of(name)
    elif caller.user_id is not None:
        raise Forbidden(f"End users cannot describe an {kind}, because it belongs to the whole project")
    entities = EntityRepository(tx, caller.project_id)
    await entities.describe(kind, name, display_name, metadata)
    return await entities.get_entity(kind, name)


async def delete_entity_data(resources: Resources, caller: Caller, kind: EntityType, name: str) -> uuid.UUID:
    """Erase an entity, as `POST /v1/erase` does: its description, and everything that names it in all profiles.

    An unknown entity is no error: when a client deletes all entities in turn, some lose their last memory before their
    turn, because it belonged to another entity as well.
    """
    if kind == "user":
        caller.act_for(name)
    erasure = await erase(resources, caller, Subject(SubjectKind(kind), name))
    request = EventRequest(deleted=erasure.found.get("memories", 0))
    return await record_deletion(resources, caller, "DELETE_USER", request)
