"""The contract of the Embedder port, run against every adapter."""

import asyncio
import math
import operator
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.adapters.models.mem0_embedder import open_mem0_embedder
from app.adapters.models.onnx import OnnxEmbedder
from app.adapters.models.openai import Connection
from app.adapters.models.openai_embedder import open_embedder
from app.core.errors import ConfigurationError, Unavailable
from app.core.ports import Embedder, Purpose
from tests.model_server import Fails, ModelServer


@pytest_asyncio.fixture(params=["onnx", "openai", "mem0"])
async def embedder(request: pytest.FixtureRequest, model_server: ModelServer) -> AsyncIterator[Embedder]:
    made = await make(request.param, model_server.url)
    yield made
    await made.close()


async def make(kind: str, url: str) -> Embedder:
    if kind == "onnx":
        return OnnxEmbedder()
    if kind == "openai":
        return await open_embedder(Connection(url), model="any")
    return await open_mem0_embedder("lmstudio", model="any", base_url=url)


def length(vector: object) -> float:
    assert isinstance(vector, list)
    return math.sqrt(sum(number * number for number in vector))


async def test_embedder_returns_one_unit_vector_per_text_in_order(embedder: Embedder) -> None:
    texts = ["One thing.", "Another thing.", "", "One thing.", "日本語のテキスト", "\ud83d lonely half of a pair"]
    vectors = await embedder.embed(texts)
    assert [len(vector) for vector in vectors] == [embedder.dimensions] * 6
    assert all(length(vector) == pytest.approx(1, abs=1e-5) for vector in vectors)
    assert vectors[0] == vectors[3] != vectors[1]


async def test_embedder_returns_nothing_for_no_texts(embedder: Embedder) -> None:
    assert await embedder.embed([]) == []


async def test_vector_of_a_text_does_not_depend_on_the_batch(embedder: Embedder) -> None:
    many = [f"Sentence number {number}." for number in range(70)]
    among, [alone] = (await embedder.embed(many))[42], await embedder.embed([many[42]])
    assert sum(map(operator.mul, among, alone)) > 0.9999


async def test_vectors_are_plain_floats(embedder: Embedder) -> None:
    [vector] = await embedder.embed(["One thing."], Purpose.QUERY)
    assert {type(number) for number in vector} == {float}


async def test_long_text_is_embedded_in_pieces(embedder: Embedder) -> None:
    start = "word " * 1200
    one, other = await embedder.embed([f"{start} coffee", f"{start} {'the sea and the mountains ' * 80}"])
    assert one != other
    assert length(other) == pytest.approx(1, abs=1e-5)


async def test_number_of_pieces_is_limited(embedder: Embedder) -> None:
    start = "word " * 5000
    one, other = await embedder.embed([f"{start} coffee", f"{start} {'the sea and the mountains ' * 5000}"])
    assert one == other


async def test_embedder_serves_concurrent_callers(embedder: Embedder) -> None:
    alone = await embedder.embed([f"text {number}" for number in range(20)])
    together = await asyncio.gather(*[embedder.embed([f"text {number}"], Purpose.QUERY) for number in range(20)])
    assert [vector for [vector] in together] == alone


async def test_embedder_names_its_model(embedder: Embedder) -> None:
    assert ":" in embedder.name
    assert embedder.dimensions > 0


@pytest.mark.parametrize("kind", ["openai", "mem0"])
async def test_failure_is_an_app_error_without_content(kind: str, model_server: ModelServer) -> None:
    embedder = await make(kind, model_server.url)
    model_server.chat(*[Fails(500, error={"message": "SENTINEL"})] * 9)
    with pytest.raises(Unavailable) as raised:
        await embedder.embed(["SENTINEL"])
    assert "SENTINEL" not in raised.value.detail
    assert raised.value.headers["Retry-After"]
    await embedder.close()


async def test_unknown_or_unreachable_embedder_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="EMBEDDER"):
        await open_mem0_embedder("abacus")
    with pytest.raises(ConfigurationError, match="EMBEDDER_BASE_URL"):
        await open_embedder(Connection("http://127.0.0.1:9/v1", tries=1), model="any")
