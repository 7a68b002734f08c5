"""OpenAI's client lists models, and embeds texts with the model of this server."""

import base64
import math
from array import array
from typing import Any

import openai
import pytest

from app.core.resources import Resources
from tests.conftest import MakeKey
from tests.gateways.openai.conftest import ConnectOpenAI


async def test_models_are_those_that_a_request_may_name(ai: openai.AsyncOpenAI, resources: Resources) -> None:
    names = [model.id async for model in ai.models.list()]
    assert names == ["other-model", "test-model", resources.embedder.name]
    assert (await ai.models.retrieve("other-model")).id == "other-model"
    assert (await ai.models.retrieve(resources.embedder.name)).owned_by == "keepsake"
    with pytest.raises(openai.NotFoundError) as error:
        await ai.models.retrieve("gpt-unknown")
    assert error.value.code == "model_not_found"


async def test_models_need_a_valid_key(connect_openai: ConnectOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        await connect_openai("ks_wrong").models.list()


async def test_embeddings_are_those_of_the_embedder(ai: openai.AsyncOpenAI, resources: Resources) -> None:
    """The client asks for base64 unless told otherwise, and decodes it."""
    [expected] = await resources.embedder.embed(["I like tea"])
    decoded = await ai.embeddings.create(model="text-embedding-3-small", input="I like tea")
    plain = await ai.embeddings.create(model="any", input=["I like tea", "Ships"], encoding_format="float")
    assert decoded.model == resources.embedder.name
    assert decoded.data[0].embedding == pytest.approx(list(expected), abs=1e-6)
    assert plain.data[0].embedding == pytest.approx(list(expected), abs=1e-6)
    assert [each.index for each in plain.data] == [0, 1]
    assert decoded.usage.total_tokens > 0
    raw = await ai.embeddings.with_raw_response.create(model="any", input="I like tea", encoding_format="base64")
    sent = raw.http_response.json()["data"][0]["embedding"]
    assert array("f", base64.b64decode(sent)).tolist() == pytest.approx(list(expected), abs=1e-6)
    assert math.isclose(math.hypot(*decoded.data[0].embedding), 1, abs_tol=1e-3)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": "a", "dimensions": 7}, "dimensions"),
    ],
    ids=["empty", "none", "too-many", "tokens", "dimensions"],
)
async def test_invalid_embedding_request_is_refused(change: dict[str, Any], param: str, ai: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        await ai.embeddings.create(**{"model": "any", "encoding_format": "float", **change})
    assert error.value.param == param


async def test_embeddings_need_the_scope_to_read_memories(connect_openai: ConnectOpenAI, make_key: MakeKey) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        await connect_openai((await make_key("sessions:write")).key).embeddings.create(model="any", input="tea")
