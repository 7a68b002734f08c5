"""The contract of the Embedder port, run against every adapter."""

import asyncio
import math
import operator
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from app.adapters.models.embedders.remote import DOCUMENT_LIMITS, EmbedderLimits, RemoteEmbedder
from app.adapters.models.multilingual.use import open_multilingual_embedder
from app.adapters.models.onnx import OnnxEmbedder
from app.core.errors import ConfigurationError, Unavailable
from app.core.ports import Embedder, Purpose
from app.settings import Settings
from app.wiring.embedders import connect_embedder
from tests.model_server import Fails, ModelServer

PATIENT = EmbedderLimits(questions=replace(DOCUMENT_LIMITS, tries=1))
"""These tests are not about time."""
PROVIDERS = ["openai", "azure_openai", "huggingface", "gemini", "ollama", "lmstudio"]


@pytest_asyncio.fixture(scope="module")
async def local_embedders() -> AsyncIterator[dict[str, Embedder]]:
    """Loading a model takes longer than any of these tests."""
    opened: dict[str, Embedder] = {"onnx": OnnxEmbedder(), "multilingual": await open_multilingual_embedder()}
    yield opened
    for each in opened.values():
        await each.close()


@pytest_asyncio.fixture(params=["onnx", "multilingual", *PROVIDERS])
async def embedder(
    request: pytest.FixtureRequest, model_server: ModelServer, tmp_path: Path, local_embedders: dict[str, Embedder]
) -> AsyncIterator[Embedder]:
    if request.param in local_embedders:
        yield local_embedders[request.param]
        return
    made = await connect(request.param, model_server, tmp_path)
    yield made
    await made.close()


async def connect(provider: str, server: ModelServer, folder: Path, **changed: str) -> RemoteEmbedder:
    """As an operator would: with settings."""
    url = server.host if provider in ("azure_openai", "gemini", "ollama") else server.url
    given = {"embedder_model": "any", "embedder_base_url": url, "embedder_api_key": "sk-KEY", **changed}
    return await connect_embedder(Settings(_env_file=None, embedder=provider, data_dir=folder, **given), PATIENT)


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


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_failure_is_an_app_error_without_content(
    provider: str, model_server: ModelServer, tmp_path: Path
) -> None:
    embedder = await connect(provider, model_server, tmp_path)
    model_server.embedding(Fails(500, error={"message": "SENTINEL"}))
    with pytest.raises(Unavailable) as raised:
        await embedder.embed(["SENTINEL"], Purpose.QUERY)
    assert "SENTINEL" not in raised.value.detail
    assert raised.value.headers["Retry-After"]
    await embedder.close()


@pytest.mark.parametrize("provider", PROVIDERS[:-1])
async def test_wrong_key_or_model_stops_the_start_and_names_the_setting(
    provider: str, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.key, model_server.model = "sk-KEY", "any"
    with pytest.raises(ConfigurationError, match=r"refused this server's key\. Check EMBEDDER_API_KEY\.$"):
        await connect(provider, model_server, tmp_path, embedder_api_key="sk-WRONG")
    with pytest.raises(ConfigurationError, match=r"not found\. Check EMBEDDER_MODEL and EMBEDDER_BASE_URL\.$"):
        await connect(provider, model_server, tmp_path, embedder_model="unknown")
    await (await connect(provider, model_server, tmp_path)).close()


async def test_unknown_or_unreachable_embedder_stops_the_first_start(model_server: ModelServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="EMBEDDER=abacus is unknown"):
        await connect("abacus", model_server, tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot be reached.* Check EMBEDDER_BASE_URL"):
        await connect("openai", model_server, tmp_path, embedder_base_url="http://127.0.0.1:9/v1")
