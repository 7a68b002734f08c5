"""One memory as a line of a file: ours, and how mem0's open-source library writes one."""

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
from app.memory.ledger.models import Memory
from app.memory.ledger.new_memory import Kind, NewMemory

FOREIGN = uuid.uuid5(uuid.NAMESPACE_URL, "keepsake:foreign-memory")
LONGEST_ID = 500
WHOSE = ("user_id", "agent_id", "app_id", "run_id")
# What has a place of its own. Whatever else a foreign line says of a memory is kept in its metadata.
KNOWN = {
    *("id", "memory", "data", "text", "hash", "metadata", "created_at", "updated_at", "score", "expiration_date"),
    *("categories", "kind", "role", "context", "importance", "immutable", "profile", "archived_at", "replaced_by"),
    *("access_count", "accessed_at", "session_id", "vector", "text_lemmatized", "attributed_to", *WHOSE),
}
OF_A_PAYLOAD = {
    *("data", "hash", "created_at", "updated_at", "text_lemmatized", "role", "actor_id", "attributed_to"),
    *("expiration_date", *WHOSE),
}
MOST_ACCESSES = 2**31 - 1
PASSED_OVER = {"vector", "score", "text_lemmatized"}
LATER = ("archived_at", "replaced_by", "access_count", "accessed_at")
Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    new: NewMemory
    user_id: str | None
    profile: str | None
    """The name of a profile that is not the default one."""
    later: dict[str, object]
    """What a new memory cannot have yet."""


def as_line(row: Memory, profile: str | None) -> dict[str, object]:
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


def read_line(line: Line, place: int, default_user: str | None) -> Read:
    """mem0 gives memories flat, and a vector store gives them as `{id, payload}`."""
    flat = _flat(line["payload"], line.get("id")) if isinstance(line.get("payload"), Mapping) else line
    _check(flat, place)
    content = next((flat[name] for name in ("memory", "data", "text") if isinstance(flat.get(name), str)), "")
    if not content.strip():
        raise BadRequest(f"Line {place} of the file holds no memory: it has no text under `memory` or `data`")
    whose: dict[str, Any] = {name: str(flat[name]) for name in WHOSE if flat.get(name) is not None}
    user_id = whose.pop("user_id", None) or (default_user if not whose else None)
    if user_id is None and not whose:
        raise BadRequest(f"Line {place} of the file says of nobody whose memory it is: name a user with --user-id")
    try:
        new = NewMemory(content=content, id=id_of(flat, content), **whose, **_about(flat), **_when(flat))
        later = _later(flat)
    except (ValueError, TypeError, OverflowError):
        raise BadRequest(
            f"Line {place} of the file has a date, a kind, a number or a character that cannot be read: correct it"
        ) from None
    return Read(new, user_id, str(flat["profile"]) if flat.get("profile") else None, later)


def _later(flat: Line) -> dict[str, object]:
    given = {name: flat[name] for name in LATER if flat.get(name)}
    readers: dict[str, Callable[[Any], object]] = {
        "archived_at": moment,
        "replaced_by": lambda value: UUID(str(value)),
        "access_count": lambda count: within(int(count), MOST_ACCESSES),
        "accessed_at": lambda times: [moment(each) for each in times],
    }
    for name, value in given.items():
        readers[name](value)
    return given


def _check(flat: Line, place: int) -> None:
    """What Postgres would refuse, with all of the memory in its words."""
    try:
        storable({name: value for name, value in flat.items() if name not in PASSED_OVER})
    except ValueError as error:
        raise BadRequest(f"Line {place} of the file cannot be kept: it {error}") from None
    if any(len(str(flat.get(name))) > LONGEST_ID for name in WHOSE):
        raise BadRequest(f"Line {place} of the file has an id of more than {LONGEST_ID} characters")


def _flat(payload: Line, its_id: object) -> Line:
    """In a payload a person's own metadata stands beside mem0's words, and may be called as anything of ours is."""
    if "data" not in payload:
        return {**payload, "id": its_id}
    own = {name: value for name, value in payload.items() if name not in OF_A_PAYLOAD}
    return {**{name: payload[name] for name in payload.keys() - own.keys()}, "metadata": own, "id": its_id}


def id_of(flat: Line, content: str) -> UUID:
    """An id that is no UUID becomes one, always the same, so that a second import finds the first."""
    given = str(flat.get("id") or f"{[flat.get(name) for name in WHOSE]}{content}")
    try:
        return UUID(given)
    except ValueError:
        return uuid.uuid5(FOREIGN, given)


def _about(flat: Line) -> dict[str, Any]:
    besides = {name: value for name, value in flat.items() if name not in KNOWN and value is not None}
    role = str(flat.get("role") or flat.get("attributed_to") or "user")
    if role not in set(Role):
        besides["role"] = role  # such as `tool`, which says nothing here, but is not ours to throw away
    return {
        "metadata": {**besides, **(flat.get("metadata") or {})},
        "kind": Kind(flat.get("kind") or "fact"),
        "role": Role(role) if role in set(Role) else Role.USER,
        "context": flat.get("context"),
        "categories": tuple(map(str, flat["categories"])) if flat.get("categories") is not None else None,
        "importance": within(float(flat["importance"]), 1) if flat.get("importance") is not None else None,
        "immutable": bool(flat.get("immutable")),
    }


def _when(flat: Line) -> dict[str, Any]:
    expires = flat.get("expiration_date")
    created = moment(flat.get("created_at"))
    return {
        "created_at": created,
        "updated_at": moment(flat.get("updated_at")) or created,
        "expires_on": dt.date.fromisoformat(str(expires)[:10]) if expires else None,
    }


def within(number: float, most: float) -> float:
    if not 0 <= number <= most:
        raise ValueError
    return number


def moment(value: object) -> dt.datetime | None:
    if not value:
        return None
    if isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    read = dt.datetime.fromisoformat(str(value))
    return read if read.tzinfo else read.replace(tzinfo=dt.UTC)
