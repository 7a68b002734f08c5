"""Providers are set up with the settings that docs/how-to/providers.md shows."""

import re
import sys
from pathlib import Path

import pytest

from app.adapters.models.onnx import OnnxEmbedder
from app.core.errors import ConfigurationError, ExtractionFailed, UpstreamFailed
from app.core.observability.metrics import REGISTRY
from app.core.ports import ChatMessage, ExtractionRequest, ModelOptions, Role, Token
from app.core.resources import Check
from app.settings import Settings, describe_unknown_variables, load_settings
from app.wiring.embedders import EXTRAS, connect_embedder, open_client
from app.wiring.models import GaugeUpdate, watch_embedder
from app.wiring.providers import compatible_url
from app.wiring.remote import connect_extractor, connect_model
from app.wiring.secrets import has_model, speaks_openai
from tests.model_server import Facts, Fails, ModelServer, Says

PAGE = Path(__file__).parents[2] / "docs/how-to/providers.md"
BLOCKS = re.findall(r"```dotenv\n(.*?)```", PAGE.read_text(), re.S)
EMBEDDERS = [
    "openai:text-embedding-3-small",
    "azure_openai:your-embedding-deployment",
    "gemini:gemini-embedding-001",
    "huggingface:multilingual-e5-small",
    "huggingface:sentence-transformers/multi-qa-MiniLM-L6-cos-v1",
    "ollama:nomic-embed-text",
]
ENDPOINTS = [
    None,
    "https://your-resource.openai.azure.com/openai/v1",
    "https://generativelanguage.googleapis.com/v1beta/openai",
    "https://router.huggingface.co/v1",
    None,
    "http://localhost:11434/v1",
]
HELLO = [ChatMessage(Role.USER, "Hello")]
PROVIDERS = ["openai", "azure_openai", "gemini", "huggingface", "ollama"]


def paste(monkeypatch: pytest.MonkeyPatch, folder: Path, block: str) -> Settings:
    """As an operator does, into the `.env` of the folder in which the server starts."""
    (folder / ".env").write_text(block)
    monkeypatch.chdir(folder)
    return load_settings()


@pytest.mark.parametrize("place", range(len(EMBEDDERS)), ids=EMBEDDERS)
async def test_block_of_the_page_sets_up_both_models(
    place: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings, name = paste(monkeypatch, tmp_path, BLOCKS[place]), EMBEDDERS[place]
    assert [sentence for sentence in describe_unknown_variables() if " in .env " in sentence] == []
    if "sentence-transformers" in name:
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        with pytest.raises(ConfigurationError, match="deploy/requirements/huggingface"):
            open_client(settings)
        assert not has_model(settings)
        return
    client = open_client(settings)
    assert client.name == name
    await client.close()
    assert speaks_openai(settings)
    assert compatible_url("LLM", settings.llm_provider, settings.llm_base_url) == ENDPOINTS[place]
    await connect_model(settings).close()


def test_page_has_a_block_for_each_provider_and_the_line_that_installs_each_package() -> None:
    assert len(BLOCKS) == len(EMBEDDERS)
    for extra in EXTRAS:
        assert (
            f"`.venv/bin/pip install -r deploy/requirements/{extra}.txt`, or `pip install 'keepsake[{extra}]'`"
            in PAGE.read_text()
        )
        assert (PAGE.parents[2] / f"deploy/requirements/{extra}.txt").exists()


@pytest.mark.parametrize(
    ("extra", "module", "package"),
    [
        ("gemini", "google.genai", "google-genai"),
        ("ollama", "ollama", "ollama"),
        ("huggingface", "sentence_transformers", "sentence-transformers"),
    ],
)
def test_missing_package_stops_the_start_with_the_line_that_installs_it(
    extra: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"app.adapters.models.embedders.{extra}", raising=False)
    with pytest.raises(ConfigurationError) as refused:
        open_client(Settings(_env_file=None, embedder=extra, embedder_model="any", embedder_api_key="sk-KEY"))
    assert str(refused.value) == (
        f"EMBEDDER={extra} needs the package {package}, which is not installed. Run `pip install -r"
        f" deploy/requirements/{extra}.txt`, or `pip install 'keepsake[{extra}]'` if you installed the wheel."
    )


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_language_model_of_each_provider_answers_and_extracts(provider: str, model_server: ModelServer) -> None:
    path = {"gemini": "/v1beta/openai", "openai": "/v1"}.get(provider, "")
    settings = Settings(
        _env_file=None,
        llm_provider=provider,
        llm_base_url=f"{model_server.host}{path}",
        llm_api_key="sk-KEY",
        llm_model="large",
    )
    model_server.chat(Says("Good", " morning"))
    model_server.extraction(Facts("Ines plays the cello"))
    model, extractor = connect_model(settings), connect_extractor(settings)
    pieces = [piece async for piece in model.stream(HELLO, ModelOptions())]
    extraction = await extractor.extract(ExtractionRequest([ChatMessage(Role.USER, "Ines plays the cello")]))
    await model.close()
    await extractor.close()
    assert [piece.text for piece in pieces if isinstance(piece, Token)] == ["Good", " morning"]
    assert [fact.text for fact in extraction.facts] == ["Ines plays the cello"]
    assert {sent.headers["authorization"] for sent in model_server.requests} == {"Bearer sk-KEY"}
    expected = {"azure_openai": "/openai/v1", "gemini": "/v1beta/openai"}.get(provider, "/v1")
    assert {sent.path for sent in model_server.requests} == {f"{expected}/chat/completions"}


async def test_gemini_does_not_know_store_and_is_asked_without_it(model_server: ModelServer) -> None:
    """As it refuses a field: in a list, and without naming a parameter."""
    message = 'Invalid JSON payload received. Unknown name "store": Cannot find field.'
    model_server.chat(Fails(400, error={"code": 400, "message": message, "status": "INVALID_ARGUMENT"}))
    url = f"{model_server.host}/v1beta/openai"
    model = connect_model(
        Settings(_env_file=None, llm_provider="gemini", llm_base_url=url, llm_api_key="sk-KEY", llm_model="large")
    )
    answer = await model.complete(HELLO, ModelOptions(keep=False))
    await model.close()
    assert answer.text == "Hello there."
    assert ["store" in sent.body for sent in model_server.requests] == [True, False]


@pytest.mark.parametrize(("status", "setting"), [(401, "LLM_API_KEY"), (404, "LLM_MODEL and LLM_BASE_URL")])
async def test_wrong_key_or_model_of_a_language_model_names_the_setting(
    status: int, setting: str, model_server: ModelServer
) -> None:
    settings = Settings(_env_file=None, llm_provider="ollama", llm_base_url=model_server.host, llm_model="large")
    model, extractor = connect_model(settings), connect_extractor(settings)
    model_server.chat(Fails(status))
    model_server.extraction(Fails(status))
    with pytest.raises(UpstreamFailed, match=rf"Check {setting}\.$"):
        await model.complete(HELLO, ModelOptions())
    with pytest.raises(ExtractionFailed, match=rf"Check {setting}\.$"):
        await extractor.extract(ExtractionRequest(HELLO))
    await model.close()
    await extractor.close()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"llm_provider": "gemini", "llm_model": "large"}, "LLM_PROVIDER=gemini needs LLM_API_KEY"),
        ({"llm_provider": "huggingface", "llm_model": "large"}, "LLM_PROVIDER=huggingface needs LLM_API_KEY"),
        ({"llm_provider": "azure_openai", "llm_api_key": "k"}, "LLM_PROVIDER=azure_openai needs LLM_BASE_URL"),
        ({"llm_provider": "ollama"}, "LLM_PROVIDER=ollama needs LLM_MODEL"),
        ({"embedder": "openai"}, "EMBEDDER=openai needs EMBEDDER_MODEL"),
        ({"embedder": "azure_openai", "embedder_model": "large"}, "EMBEDDER=azure_openai needs EMBEDDER_BASE_URL"),
        ({"embedder": "gemini"}, "EMBEDDER=gemini needs EMBEDDER_API_KEY"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_missing_setting_stops_the_start(given: dict[str, str], sentence: str) -> None:
    settings = Settings(_env_file=None, **given)
    with pytest.raises(ConfigurationError, match=f"^{sentence}"):
        open_client(settings) if "embedder" in given else connect_model(settings)


async def test_key_of_the_language_model_is_not_sent_to_an_ollama_server(
    model_server: ModelServer, tmp_path: Path
) -> None:
    settings = Settings(_env_file=None, llm_api_key="sk-SECRET", embedder="ollama", embedder_base_url=model_server.host)
    embedder = await connect_embedder(settings.model_copy(update={"data_dir": tmp_path}))
    await embedder.close()
    assert [sent.headers.get("authorization") for sent in model_server.requests] == [None]


async def test_readiness_and_metrics_know_an_embedder_at_a_provider(model_server: ModelServer, tmp_path: Path) -> None:
    checks: dict[str, Check] = {}
    gauges: list[GaugeUpdate] = []
    watch_embedder(OnnxEmbedder(), checks, gauges)
    assert (checks, gauges) == ({}, [])
    settings = Settings(_env_file=None, data_dir=tmp_path, embedder="ollama", embedder_base_url=model_server.host)
    embedder = await connect_embedder(settings)
    watch_embedder(embedder, checks, gauges)
    await gauges[0]()
    labels = {"keepsake_embedding_breaker": "closed"}
    assert REGISTRY.get_sample_value("keepsake_embedding_breaker", labels) == 1
    assert await checks["embedding_model"]()
    await embedder.close()
