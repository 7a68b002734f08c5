"""Structured exports, with mem0's own client."""

import asyncio

import pytest
from mem0.exceptions import MemoryNotFoundError, ValidationError

from tests.conftest import MakeKey
from tests.gateways.mem0.conftest import Connect

SCHEMA = {"properties": {"city": {"type": "string"}, "tags": {"type": "array"}, "memories": {}, "age": {}}}
ANNAS = {"user_id": "anna"}


async def test_an_export_is_shaped_by_its_schema(connect: Connect, make_key: MakeKey) -> None:
    mem0 = await connect((await make_key()).key)
    for number, more in enumerate(({"city": "Paris", "tags": ["a"]}, {"city": "Rome", "tags": "b"})):
        said = {"user_id": "anna", "infer": False, "metadata": more, "timestamp": 1_700_000_000 + number}
        await asyncio.to_thread(mem0.add, f"I live in {more['city']}", **said)
    made = await asyncio.to_thread(mem0.create_memory_export, schema=SCHEMA, filters=ANNAS)
    expected = {
        "city": "Rome",
        "tags": ["b", "a"],
        "memories": ["I live in Rome", "I live in Paris"],
        "age": None,
    }
    assert await asyncio.to_thread(mem0.get_memory_export, memory_export_id=made["id"]) == expected
    assert await asyncio.to_thread(mem0.get_memory_export, filters=ANNAS) == expected


async def test_an_export_nobody_asked_for_is_not_there(connect: Connect, make_key: MakeKey) -> None:
    mem0 = await connect((await make_key()).key)
    with pytest.raises(MemoryNotFoundError, match="No memory export request found"):
        await asyncio.to_thread(mem0.get_memory_export, filters=ANNAS)
    with pytest.raises(ValidationError):
        await asyncio.to_thread(mem0.create_memory_export, schema=SCHEMA)
