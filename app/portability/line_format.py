"""One memory as a line of a file, in our format or in that of mem0's open-source library."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.core.errors import BadRequest
from app.core.ports import Role
from app.core.storable_text import storable
from app.memory.ledger import Kind, Memory, NewMemory

FOREIGN_ID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "keepsake:foreign-memory")
MAX_ID_LENGTH = 500
ENTITY_FIELDS = ("user_id", "agent_id", "app_id", "run_id")
# Fields that have a column. All other fields of a line are kept in the metadata of the memory.
KNOWN_FIELDS = {
    *("id", "memory", "data", "text", "hash", "metadata", "created_at", "updated_at", "score", "expiration_date"),
    *("categories", "kind", "role", "context", "importance", "immutable", "profile", "archived_at", "replaced_by"),
    *("access_count", "accessed_at", "session_id", "vector", "text_lemmatized", "attributed_to", *ENTITY_FIELDS),
}
PAYLOAD_FIELDS = {
    *("data", "hash", "created_at", "updated_at", "text_lemmatized", "role", "actor_id", "attributed_to"),
    *("expiration_date", *ENTITY_FIELDS),
}
MAX_ACCESS_COUNT = 2**31 - 1
IGNORED_FIELDS = {"vector", "score", "text_lemmatized"}
LATER_FIELDS = ("archived_at", "replaced_by", "access_count", "accessed_at")
Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImportedMemory:
    new: NewMemory
    user_id: str | None
    profile: str | None
    """The name of a profile that is not the default one."""
    later: dict[str, object]
    """Fields that only a memory which already existed can have."""


def memory_line(row: Memory, profile: str | None) -> dict[str, object]:
    return {
        "id": row.id,
        "memory": row.content,
        "hash": hashlib.md5(row.content.encode(), usedforsecurity=False).hexdigest(),
        "user_id": row.user_id,
        "agent_id": row.agent_id,
        "app_id": row.app_id,
        "run_id": row.run_id,
        "profile": profile,
        "metadata": row.metadata_,
        "categories": row.categories,
        "kind": row.kind,
        "role": row.role,
        "context": row.context,
        "importance": row.importance,
        "immutable": row.immutable,
        "expiration_date": row.expires_on,
        "archived_at": row.archived_at,
        "replaced_by": row.replaced_by,
        "access_count": row.access_count,
        "accessed_at": row.accessed_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def read_line(line: Line, number: int, default_user: str | None) -> ImportedMemory:
    """Read a memory, which mem0 exports as a flat object and a vector store as `{id, payload}`."""
    flat = _flatten(line["payload"], line.get("id")) if isinstance(line.get("payload"), Mapping) else line
    _check_storable(flat, number)
    content = next((flat[name] for name in ("memory", "data", "text") if isinstance(flat.get(name), str)), "")
    if not content.strip():
        raise BadRequest(f"Line {number} of the file has no text under `memory` or `data`.")
    entity: dict[str, Any] = {name: str(flat[name]) for name in ENTITY_FIELDS if flat.get(name) is not None}
    user_id = entity.pop("user_id", None) or (default_user if not entity else None)
    if user_id is None and not entity:
        raise BadRequest(f"Line {number} of the file names no user. Choose one with --user-id.")
    try:
        new = NewMemory(
            content=content, id=memory_id_of(flat, content), **entity, **_content_fields(flat), **_time_fields(flat)
        )
        later = _later_fields(flat)
    except (ValueError, TypeError, OverflowError):
        raise BadRequest(f"Line {number} of the file has an invalid date, kind, number or character.") from None
    return ImportedMemory(new, user_id, str(flat["profile"]) if flat.get("profile") else None, later)


def _later_fields(flat: Line) -> dict[str, object]:
    given = {name: flat[name] for name in LATER_FIELDS if flat.get(name)}
    readers: dict[str, Callable[[Any], object]] = {
        "archived_at": read_time,
        "replaced_by": lambda value: UUID(str(value)),
        "access_count": lambda count: check_range(int(count), MAX_ACCESS_COUNT),
        "accessed_at": lambda times: [read_time(each) for each in times],
    }
    for name, value in given.items():
        readers[name](value)
    return given


def _check_storable(flat: Line, number: int) -> None:
    """Refuse what Postgres cannot store: its own error message would contain the memory."""
    try:
        storable({name: value for name, value in flat.items() if name not in IGNORED_FIELDS})
    except ValueError as error:
        raise BadRequest(f"Line {number} of the file cannot be imported: it {error}") from None
    if any(len(str(flat.get(name))) > MAX_ID_LENGTH for name in ENTITY_FIELDS):
        raise BadRequest(f"Line {number} of the file has an id of more than {MAX_ID_LENGTH} characters.")


def _flatten(payload: Line, memory_id: object) -> Line:
    """In a payload, custom metadata lies beside mem0's own fields, and can have the name of any of our fields."""
    if "data" not in payload:
        return {**payload, "id": memory_id}
    own = {name: value for name, value in payload.items() if name not in PAYLOAD_FIELDS}
    return {**{name: payload[name] for name in payload.keys() - own.keys()}, "metadata": own, "id": memory_id}


def memory_id_of(flat: Line, content: str) -> UUID:
    """Derive a stable UUID from an id of another form, so that a second import finds the memory of the first."""
    given = str(flat.get("id") or f"{[flat.get(name) for name in ENTITY_FIELDS]}{content}")
    try:
        return UUID(given)
    except ValueError:
        return uuid.uuid5(FOREIGN_ID_NAMESPACE, given)


def _content_fields(flat: Line) -> dict[str, Any]:
    extra = {name: value for name, value in flat.items() if name not in KNOWN_FIELDS and value is not None}
    role = str(flat.get("role") or flat.get("attributed_to") or "user")
    if role not in set(Role):
        extra["role"] = role  # a role that we do not have, such as `tool`, is kept as metadata
    return {
        "metadata": {**extra, **(flat.get("metadata") or {})},
        "kind": Kind(flat.get("kind") or "fact"),
        "role": Role(role) if role in set(Role) else Role.USER,
        "context": flat.get("context"),
        "categories": tuple(map(str, flat["categories"])) if flat.get("categories") is not None else None,
        "importance": check_range(float(flat["importance"]), 1) if flat.get("importance") is not None else None,
        "immutable": bool(flat.get("immutable")),
    }


def _time_fields(flat: Line) -> dict[str, Any]:
    expires = flat.get("expiration_date")
    created = read_time(flat.get("created_at"))
    return {
        "created_at": created,
        "updated_at": read_time(flat.get("updated_at")) or created,
        "expires_on": dt.date.fromisoformat(str(expires)[:10]) if expires else None,
    }


def check_range(value: float, maximum: float) -> float:
    if not 0 <= value <= maximum:
        raise ValueError
    return value


def read_time(value: object) -> dt.datetime | None:
    if not value:
        return None
    if isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    read = dt.datetime.fromisoformat(str(value))
    return read if read.tzinfo else read.replace(tzinfo=dt.UTC)
