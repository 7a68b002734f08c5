"""One memory as a line of a file, in our format or in that of mem0's open-source library."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints
from uuid import UUID

from sqlalchemy import RowMapping

from app.core.errors import BadRequest
from app.core.ports import Role
from app.core.storable_text import is_blank, storable
from app.memory.ledger import WRITTEN_FIELDS, Door, Kind, NewMemory, Source, source_of
from app.memory.origin import ENTITY_FIELDS, Origin

FOREIGN_ID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "keepsake:foreign-memory")
MAX_ID_LENGTH = 500
CHOOSE_USER = "Choose one with `?user_id=` of `POST /v1/import`, or with `--user-id` of the command `import`."
EXPORT_NAMES = {"content": "memory", "expires_on": "expiration_date"}
EXPORTED_FIELDS = {name: EXPORT_NAMES.get(name, name) for name in (*ENTITY_FIELDS, *WRITTEN_FIELDS)}
# Fields that have a column. All other fields of a line are kept in the metadata of the memory.
KNOWN_FIELDS = {
    *("data", "text", "hash", "score", "profile", "session_id", "vector", "text_lemmatized", "attributed_to"),
    *EXPORTED_FIELDS.values(),
}
PAYLOAD_FIELDS = {
    *("data", "hash", "created_at", "updated_at", "text_lemmatized", "role", "actor_id", "attributed_to"),
    *("expiration_date", *ENTITY_FIELDS),
}
MAX_ACCESS_COUNT = 2**31 - 1
IGNORED_FIELDS = {"vector", "score", "text_lemmatized"}
Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImportedMemory:
    new: NewMemory
    user_id: str | None
    profile: str | None
    """The name of a profile that is not the default one."""


def memory_line(row: RowMapping) -> dict[str, object]:
    return {
        "type": "memory",
        **{exported: row[name] for name, exported in EXPORTED_FIELDS.items()},
        # Null in a memory that is older than the column. The API shows the same word, and an import stores it.
        "source": row["source"] or source_of(row["role"]),
        "hash": hashlib.md5(row["content"].encode(), usedforsecurity=False).hexdigest(),
        "profile": row["profile"],
    }


def read_line(line: Line, number: int, default_user: str | None) -> ImportedMemory:
    """Read a memory, which mem0 exports as a flat object and a vector store as `{id, payload}`."""
    flat = _flatten(line["payload"], line.get("id")) if isinstance(line.get("payload"), Mapping) else line
    _check_storable(flat, number)
    content = next((flat[name] for name in ("memory", "data", "text") if isinstance(flat.get(name), str)), "")
    if is_blank(content):
        raise BadRequest(f"Line {number} of the file has no text under `memory` or `data`.")
    entity: dict[str, Any] = {name: str(flat[name]) for name in ENTITY_FIELDS if flat.get(name) is not None}
    # A message of the conversation store may belong to its conversation alone.
    is_placed = any(entity.values()) or flat.get("conversation_id") is not None
    user_id = entity.pop("user_id", None) or (None if is_placed else default_user)
    if user_id is None and not is_placed:
        raise BadRequest(f"Line {number} of the file names no user. {CHOOSE_USER}")
    new = NewMemory(
        content=content,
        id=memory_id_of(flat, content),
        origin=Origin(**entity),
        **_role_and_metadata(flat, number),
        **_other_fields(flat, number),
    )
    return ImportedMemory(new, user_id, str(flat["profile"]) if flat.get("profile") else None)


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


def _role_and_metadata(flat: Line, number: int) -> dict[str, Any]:
    extra = {name: value for name, value in flat.items() if name not in KNOWN_FIELDS and value is not None}
    metadata = flat.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise NoValidField(number, "metadata")
    role = str(flat.get("role") or flat.get("attributed_to") or "user")
    if role not in set(Role):
        extra["role"] = role  # a role that we do not have, such as `tool`, is kept as metadata
    return {
        "metadata": {**extra, **metadata},
        "role": Role(role) if role in set(Role) else Role.USER,
    }


def _other_fields(flat: Line, number: int) -> dict[str, Any]:
    given = {name: flat.get(EXPORTED_FIELDS[name]) for name in FIELD_READERS}
    values = {
        name: _read_field(number, name, value)
        for name, value in given.items()
        if value is not None and (value != "" or name == "context")
    }
    # A null is a value: an export has one as the door of a memory that is older than these fields.
    imported = {name: each for name, each in (("source", Source.IMPORT), ("door", Door.IMPORT)) if name not in flat}
    return {"updated_at": values.get("created_at"), **imported, **values}


def _read_field(number: int, name: str, value: object) -> object:
    try:
        return FIELD_READERS[name](value)
    except (ValueError, TypeError, OverflowError):
        raise NoValidField(number, EXPORTED_FIELDS[name]) from None


class NoValidField(BadRequest):
    def __init__(self, number: int, name: str) -> None:
        super().__init__(f"Line {number} of the file has no valid `{name}`.")


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
    return read.astimezone(dt.UTC) if read.tzinfo else read.replace(tzinfo=dt.UTC)


TYPE_READERS: dict[object, Callable[[Any], object]] = {
    Kind: Kind,
    bool: bool,
    bool | None: bool,
    Source | None: Source,
    Door | None: Door,
    int: lambda count: check_range(int(count), MAX_ACCESS_COUNT),
    float | None: lambda number: check_range(float(number), 1),
    str | None: lambda text: text,
    UUID | None: lambda value: UUID(str(value)),
    dt.date | None: lambda day: dt.date.fromisoformat(str(day)[:10]),
    dt.datetime | None: read_time,
    Sequence[UUID] | None: lambda ids: tuple(UUID(str(each)) for each in ids),
    Sequence[str] | None: lambda names: tuple(map(str, names)),
    Sequence[dt.datetime]: lambda times: tuple(map(read_time, times)),
}
FIELD_READERS = {
    name: TYPE_READERS[get_type_hints(NewMemory)[name]]
    for name in EXPORTED_FIELDS.keys() & set(WRITTEN_FIELDS) - {"id", "content", "metadata", "role"}
}
