"""Ids as Anthropic writes them: a word for the kind, and a UUID without hyphens. UUIDs as they are work, too."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from app.core.errors import NotFound

STORE, MEMORY, VERSION = "memstore", "mem", "memver"


def write_id(kind: str, value: UUID) -> str:
    return f"{kind}_{value.hex}"


def read_id(kind: str, value: str) -> UUID:
    try:
        return UUID(value.removeprefix(f"{kind}_"))
    except ValueError:
        raise NotFound(f"`{value[:80]}` is not an id of this kind. Such ids begin with `{kind}_`.") from None


async def _store_id(memory_store_id: str) -> UUID:
    return read_id(STORE, memory_store_id)


async def _memory_id(memory_id: str) -> UUID:
    return read_id(MEMORY, memory_id)


async def _version_id(memory_version_id: str) -> UUID:
    return read_id(VERSION, memory_version_id)


StoreId = Annotated[UUID, Depends(_store_id)]
MemoryId = Annotated[UUID, Depends(_memory_id)]
VersionId = Annotated[UUID, Depends(_version_id)]
