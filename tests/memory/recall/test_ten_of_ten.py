"""All memories that belong to a question are found, no matter how many others surround them."""

import asyncio

import pytest

from app.core.resources import Resources
from app.memory.filters import parse_filters
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.memory.namespaces import contents, create_namespace, new_project, search

EXPECTED = [
    f"My sister Ines plays the cello, concert {word}" for word in ["one", "two", "three", "four", "five", "six"]
]
EXPECTED += [f"The cello of my sister Ines was made in {place}" for place in ("Rome", "Oslo", "Bonn", "Lyon")]
QUESTION = "What do you know about the cello of my sister Ines?"
NOISE = ["lost a bicycle", "bought two lamps", "slept badly", "saw a heron", "fixed the roof", "sold the old car"]
BATCH = 1000


async def fill(resources: Resources, namespace: Namespace, size: int) -> None:
    """Names before a colon are not embedded: few vectors, so that the model is not what takes the time."""
    for start in range(0, size - len(EXPECTED), BATCH):
        numbers = range(start, min(start + BATCH, size - len(EXPECTED)))
        await remember(resources, namespace, [NewMemory(f"No {n}: I {NOISE[n % len(NOISE)]}") for n in numbers])
        if start == 0:
            await remember(resources, namespace, [NewMemory(words) for words in EXPECTED])


@pytest.mark.parametrize(
    ("size", "total"),
    [(100, 600), (1_000, 2_000), pytest.param(10_000, 100_000, marks=pytest.mark.long)],
    ids=["100", "1000", "10000 of 100000"],
)
async def test_recall_finds_all_ten_of_ten(own_resources: Resources, size: int, total: int) -> None:
    project_id = await new_project(own_resources)
    namespace, *others = [await create_namespace(own_resources, project_id, f"person {n}") for n in range(10)]
    await fill(own_resources, namespace, size)
    for other in others:
        await fill(own_resources, other, (total - size) // len(others))
    async with asyncio.timeout(600):
        await own_resources.index_queue.wait_until_indexed(project_id, None)
        found = await search(own_resources, namespace, QUESTION, top_k=10)
    assert sorted(contents(found)) == sorted(EXPECTED)
    wide = await search(own_resources, namespace, QUESTION, top_k=10, filter=parse_filters({"user_id": "*"}))
    assert sorted(contents(wide)) == sorted(EXPECTED)
    assert {each.memory.user_id for each in found} == {namespace.user_id}
