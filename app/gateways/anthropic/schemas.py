"""The requests and responses of Anthropic's memory stores. Unknown fields are ignored, as its clients expect."""

import datetime as dt
import unicodedata
from typing import Annotated, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from app.core.storable_text import no_nul

MAX_PAIRS = 16
MAX_CONTENT_BYTES = 102_400
MAX_PATH_BYTES, MAX_SEGMENTS = 1024, 20
UNPRINTABLE = {"Cc", "Cf", "Zl", "Zp"}


def _few_pairs(metadata: dict[str, object]) -> dict[str, object]:
    if len(metadata) > MAX_PAIRS:
        raise ValueError(f"has at most {MAX_PAIRS} pairs")
    return metadata


def _short_content(content: str) -> str:
    if len(content.encode()) > MAX_CONTENT_BYTES:
        raise ValueError(f"has at most {MAX_CONTENT_BYTES:,} bytes")
    return content


def _valid_path(path: str) -> str:
    if len(path.encode()) > MAX_PATH_BYTES:
        raise ValueError(f"has at most {MAX_PATH_BYTES:,} bytes")
    segments = path.split("/")[1:]
    if not path.startswith("/") or not 1 <= len(segments) <= MAX_SEGMENTS:
        raise ValueError(f"must start with `/` and have 1 to {MAX_SEGMENTS} segments")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError("must not have a segment that is empty, `.` or `..`")
    if unicodedata.normalize("NFC", path) != path or any(unicodedata.category(each) in UNPRINTABLE for each in path):
        raise ValueError("must be in Unicode Normalization Form C, without control and format characters")
    return path


def _valid_prefix(prefix: str) -> str:
    if not prefix.startswith("/") or not prefix.endswith("/"):
        raise ValueError("must start and end with `/`")
    return prefix


def _printable(name: str) -> str:
    if any(unicodedata.category(each) == "Cc" for each in name):
        raise ValueError("must not contain control characters")
    return name


StoreName = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(no_nul), AfterValidator(_printable)
]
StoreDescription = Annotated[str, StringConstraints(max_length=1024), AfterValidator(no_nul)]
PairName = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(no_nul)]
PairValue = Annotated[str, StringConstraints(max_length=512), AfterValidator(no_nul)]
Content = Annotated[str, AfterValidator(no_nul), AfterValidator(_short_content)]
Path = Annotated[str, AfterValidator(no_nul), AfterValidator(_valid_path)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
View = Literal["basic", "full"]
Operation = Literal["created", "modified", "deleted"]
PageLimit = Annotated[int, Query(ge=1, le=100, description="With `view=full`, a page has at most 20 items.")]
PageToken = Annotated[str | None, Query(max_length=2000, description="`next_page` of the previous page.")]
Since = Annotated[dt.datetime | None, Query(alias="created_at[gte]")]
Until = Annotated[dt.datetime | None, Query(alias="created_at[lte]")]
PathPrefix = Annotated[str, AfterValidator(_valid_prefix), Query(max_length=1024)]


class MemoryStoreCreate(BaseModel):
    name: StoreName
    description: StoreDescription | None = None
    metadata: Annotated[dict[PairName, PairValue], AfterValidator(_few_pairs)] | None = Field(
        None, description="`user_id` names the user that the store belongs to."
    )


class MemoryStorePatch(BaseModel):
    name: StoreName | None = None
    description: StoreDescription | None = None
    metadata: dict[PairName, PairValue | None] | None = Field(None, description="null removes a pair.")


class MemoryStoreRead(BaseModel):
    id: str
    type: Literal["memory_store"] = "memory_store"
    name: str
    description: str
    metadata: dict[str, str]
    archived_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime


class MemoryStorePage(BaseModel):
    data: list[MemoryStoreRead]
    next_page: str | None = None


class DeletedMemoryStore(BaseModel):
    id: str
    type: Literal["memory_store_deleted"] = "memory_store_deleted"


class StoreMemoryCreate(BaseModel):
    path: Path
    content: Content


class Precondition(BaseModel):
    type: Literal["content_sha256"]
    content_sha256: Digest


class StoreMemoryPatch(BaseModel):
    path: Path | None = None
    content: Content | None = None
    precondition: Precondition | None = None


class StoreMemoryRead(BaseModel):
    id: str
    type: Literal["memory"] = "memory"
    memory_store_id: str
    memory_version_id: str
    path: str
    content: str | None
    content_sha256: str
    content_size_bytes: int
    created_at: dt.datetime
    updated_at: dt.datetime


class MemoryPrefix(BaseModel):
    path: str
    type: Literal["memory_prefix"] = "memory_prefix"


class StoreMemoryPage(BaseModel):
    data: list[StoreMemoryRead | MemoryPrefix]
    next_page: str | None = None


class DeletedMemory(BaseModel):
    id: str
    type: Literal["memory_deleted"] = "memory_deleted"


class MemoryVersionRead(BaseModel):
    id: str
    type: Literal["memory_version"] = "memory_version"
    memory_id: str
    memory_store_id: str
    operation: Operation
    path: str | None
    content: str | None
    content_sha256: str | None
    content_size_bytes: int | None
    created_at: dt.datetime
    created_by: dict[str, str] | None
    redacted_at: dt.datetime | None
    redacted_by: dict[str, str] | None


class MemoryVersionPage(BaseModel):
    data: list[MemoryVersionRead]
    next_page: str | None = None
