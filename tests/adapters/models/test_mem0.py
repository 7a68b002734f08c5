# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
import asyncio
import datetime as dt
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from app.adapters.models.extracted_json import UnusableAnswer
from app.adapters.models.mem0 import Mem0ExtractionModel, Mem0Extractor, OpenAIExtractionModel, parse_facts
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.errors import ConfigurationError, ExtractionFailed, Unavailable
from app.core.ports import ChatMessage, ExtractedFact, ExtractionRequest, KnownMemory, Role
from tests.model_server import Behaviour, Drops, Facts, Fails, Hangs, ModelServer, Raw, Refuses, Says
from tests.patience import PATIENCE_SECONDS

SAID = [
    ChatMessage(Role.SYSTEM, "You are a pirate."),
    ChatMessage(Role.USER, "I moved to Lisbon last week."),
    ChatMessage(Role.ASSISTANT, "How nice!"),
]
REQUEST = ExtractionRequest(messages=SAID, user_id="ana")
MakeExtractor = Callable[..., Mem0Extractor]
SAID_IN_EIGHT_LANGUAGES = [
    pytest.param("I am allergic to nuts.", "User is allergic to nuts", id="en"),
    pytest.param("Ich bin allergisch gegen Nüsse.", "Der Nutzer ist allergisch gegen Nüsse", id="de"),
    pytest.param("Soy alérgica a las nueces.", "La usuaria es alérgica a las nueces", id="es"),
    pytest.param("Fındığa alerjim var.", "Kullanıcının fındığa alerjisi var", id="tr"),
    pytest.param("我对坚果过敏。", "用户对坚果过敏", id="zh"),
    pytest.param("मुझे मेवों से एलर्जी है।", "उपयोगकर्ता को मेवों से एलर्जी है", id="hi"),
    pytest.param("У меня аллергия на орехи.", "У пользователя аллергия на орехи", id="ru"),
    pytest.param("عندي حساسية من المكسرات.", "لدى المستخدم حساسية من المكسرات", id="ar"),
]


@pytest_asyncio.fixture
async def make_extractor(model_server: ModelServer) -> AsyncIterator[MakeExtractor]:
    models: list[OpenAIModel] = []

    def build(url: str | None = None, timeout: float = 60) -> Mem0Extractor:
        models.append(OpenAIModel(Connection(url or model_server.url, timeout_seconds=timeout), model="any"))
        return Mem0Extractor(OpenAIExtractionModel(models[-1]))

    yield build
    for model in models:
        await model.close()


def prompt(server: ModelServer, number: int = -1) -> str:
    return str(server.extractions[number]["messages"][1]["content"])


async def fail(extractor: Mem0Extractor, request: ExtractionRequest = REQUEST) -> ExtractionFailed:
    with pytest.raises(ExtractionFailed) as raised:
        await extractor.extract(request)
    assert "Lisbon" not in raised.value.reason
    return raised.value


# ---------------------------------------------------------------- extracted facts


@pytest.mark.parametrize(("said", "fact"), SAID_IN_EIGHT_LANGUAGES)
async def test_facts_stay_in_the_language_of_the_speaker(
    make_extractor: MakeExtractor, model_server: ModelServer, said: str, fact: str
) -> None:
    model_server.extraction(Facts(fact))
    request = ExtractionRequest(messages=[ChatMessage(Role.USER, said)], user_id="ana")
    assert [each.text for each in (await make_extractor().extract(request)).facts] == [fact]
    assert said in prompt(model_server)
    assert "Respond in the SAME LANGUAGE and SCRIPT as the input messages." in prompt(model_server)


async def test_facts_keep_their_text_and_speaker(make_extractor: MakeExtractor, model_server: ModelServer) -> None:
    model_server.extraction(Facts("User moved to Lisbon", "L'utilisatrice aime le thé"))
    model_server.extraction(Facts("Assistant recommended Belém", attributed_to="assistant"))
    extractor = make_extractor()
    assert (await extractor.extract(REQUEST)).facts == [
        ExtractedFact("User moved to Lisbon"),
        ExtractedFact("L'utilisatrice aime le thé"),
    ]
    [fact] = (await extractor.extract(REQUEST)).facts
    assert fact.attributed_to is Role.ASSISTANT


async def test_facts_contain_only_text_that_can_be_stored(
    make_extractor: MakeExtractor, model_server: ModelServer
) -> None:
    model_server.extraction(Facts("User likes\0 tea", "User is happy \ud83d\ude00", "Half \ud83d", "\0"))
    assert [fact.text for fact in (await make_extractor().extract(REQUEST)).facts] == [
        "User likes tea",
        "User is happy 😀",
        "Half \ufffd",
    ]


async def test_no_facts_are_an_empty_extraction(make_extractor: MakeExtractor, model_server: ModelServer) -> None:
    model_server.extraction(Facts())
    assert (await make_extractor().extract(REQUEST)).facts == []
    assert len(model_server.extractions) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Facts("User likes tea", fenced=True),
        Raw('Here you are:\n```json\n{"memory": [{"text": "User likes tea"}]}\n```\nAnything else?'),
        Raw('<think>Let me see {"memory"</think>{"memory": [{"id": "0", "text": "User likes tea"}]}'),
        Raw('{"memory": ["User likes tea", {"id": "1"}, 7]}'),
    ],
)
async def test_wrapped_json_is_parsed(make_extractor: MakeExtractor, model_server: ModelServer, answer: Says) -> None:
    model_server.extraction(answer)
    assert (await make_extractor().extract(REQUEST)).facts == [ExtractedFact("User likes tea")]
    assert len(model_server.extractions) == 1


NONSENSE = [
    Raw("{not json"),
    Raw(""),
    Raw("Sure, I will remember that!"),
    Raw('{"facts": ["User likes tea"]}'),
    Raw('{"memory": {"text": "User likes tea"}}'),
    Raw('{"memory": [{"id": "0"}]}'),
    Raw('["User likes tea"]'),
    Refuses("No."),
    Says('{"memory": []}', finished=False),
    Fails(200),
]
"""Fails(200) is JSON that is no completion."""


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_two_unusable_answers_are_a_failure(
    make_extractor: MakeExtractor, model_server: ModelServer, nonsense: Behaviour
) -> None:
    model_server.extraction(nonsense, nonsense, Facts("too late"))
    assert (await fail(make_extractor())).retry_after is None
    assert len(model_server.extractions) == 2


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_one_unusable_answer_is_retried(
    make_extractor: MakeExtractor, model_server: ModelServer, nonsense: Behaviour
) -> None:
    model_server.extraction(nonsense, Facts("User likes tea"))
    assert len((await make_extractor().extract(REQUEST)).facts) == 1


@pytest.mark.parametrize(
    ("behaviour", "after"),
    [(Fails(429, retry_after="17"), 17), (Fails(429), 5), (Fails(500), 5), (Drops(), 5), (Hangs(), 5)],
)
async def test_temporary_failure_has_retry_after(
    make_extractor: MakeExtractor, model_server: ModelServer, behaviour: Behaviour, after: float
) -> None:
    model_server.always(behaviour, extraction=True)
    extractor = make_extractor(timeout=1) if isinstance(behaviour, Hangs) else make_extractor()
    assert (await fail(extractor)).retry_after == after
    assert len(model_server.extractions) == 1


async def test_unreachable_model_has_retry_after(make_extractor: MakeExtractor) -> None:
    assert (await fail(make_extractor("http://127.0.0.1:9/v1"))).retry_after == 5


async def test_refused_key_has_no_retry_after(make_extractor: MakeExtractor, model_server: ModelServer) -> None:
    model_server.extraction(Fails(401))
    failure = await fail(make_extractor())
    assert failure.retry_after is None
    assert "LLM_API_KEY" in failure.reason


# ---------------------------------------------------------------- prompts


async def test_prompt_contains_messages_and_known_memories(
    make_extractor: MakeExtractor, model_server: ModelServer
) -> None:
    tea, dog, cat = (KnownMemory(uuid.uuid4(), f"User has a {thing}", score) for thing, score in TRIO)
    asked: list[Sequence[str]] = []

    async def search(texts: Sequence[str], limit: int) -> list[list[KnownMemory]]:
        asked.append(texts)
        return [[tea, dog], [dog, cat]]

    request = ExtractionRequest(
        messages=SAID,
        recent=[ChatMessage(Role.USER, "I am tired of Porto.")],
        search_known=search,
        user_id="ana",
        instructions="Only what concerns housing.",
        said_at=dt.datetime(2023, 5, 8, 12, tzinfo=dt.UTC),
    )
    await make_extractor().extract(request)
    text = prompt(model_server)
    assert asked == [["I moved to Lisbon last week.", "How nice!"]]
    assert "user: I moved to Lisbon last week.\nassistant: How nice!" in text
    assert "user: I am tired of Porto." in text
    assert '[{"id": "0", "text": "User has a dog"}, {"id": "1", "text": "User has a cat"}, ' in text
    assert text.count("User has a dog") == 1
    assert "## Observation Date\n2023-05-08" in text
    assert "Only what concerns housing." in text
    assert "SAME LANGUAGE" in text
    assert "pirate" not in text


TRIO = (("tea set", 0.2), ("dog", 0.9), ("cat", 0.5))


async def test_incognito_asks_the_provider_not_to_store(
    make_extractor: MakeExtractor, model_server: ModelServer
) -> None:
    await make_extractor().extract(REQUEST)
    await make_extractor().extract(ExtractionRequest(messages=SAID, keep=False))
    kept, unkept = model_server.extractions
    assert "store" not in kept
    assert unkept["store"] is False


async def test_no_messages_send_no_request(make_extractor: MakeExtractor, model_server: ModelServer) -> None:
    assert (await make_extractor().extract(ExtractionRequest(messages=SAID[:1]))).facts == []
    assert model_server.requests == []


async def test_failed_search_for_known_memories_is_temporary(make_extractor: MakeExtractor) -> None:
    async def search(texts: Sequence[str], limit: int) -> list[list[KnownMemory]]:
        raise Unavailable("The embedding model cannot be reached.")

    failure = await fail(make_extractor(), ExtractionRequest(messages=SAID, search_known=search))
    assert failure.retry_after == 5


async def test_extraction_uses_no_thread_of_the_default_pool(
    make_extractor: MakeExtractor, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped mem0 uses the default thread pool for every step and blocks a thread while the model answers."""
    model_server.always(Facts("User likes tea"), extraction=True)
    extractor = make_extractor()
    await extractor.extract(REQUEST)  # the first request of an openai client looks at the platform, in a thread
    hops: list[object] = []
    monkeypatch.setattr(asyncio, "to_thread", lambda *step: hops.append(step))
    found = await asyncio.gather(*[extractor.extract(REQUEST) for _ in range(20)])
    assert [len(extraction.facts) for extraction in found] == [1] * 20
    assert hops == []


async def test_cancelled_extraction_ends_the_request(make_extractor: MakeExtractor, model_server: ModelServer) -> None:
    model_server.always(Hangs(), extraction=True)
    task = asyncio.create_task(make_extractor().extract(REQUEST))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not model_server.requests:  # noqa: ASYNC110  # what is waited for happens in another thread
            await asyncio.sleep(0.01)
        task.cancel()
        while not model_server.abandoned:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await task


# ---------------------------------------------------------------- other providers


async def test_mem0_provider_extracts_by_name(model_server: ModelServer) -> None:
    model_server.extraction(Facts("User likes tea"))
    answers = Mem0ExtractionModel("lmstudio", model="any", base_url=model_server.url)
    extractor = Mem0Extractor(answers)
    assert (await extractor.extract(REQUEST)).facts == [ExtractedFact("User likes tea")]
    await answers.close()


async def test_failing_or_hanging_mem0_provider_is_a_failure(model_server: ModelServer) -> None:
    answers = Mem0ExtractionModel("openai", model="any", api_key="sk", base_url=model_server.url)
    model_server.extraction(Fails(400, error={"message": "Lisbon"}))
    assert "BadRequestError" in (await fail(Mem0Extractor(answers))).reason
    await answers.close()
    answers = Mem0ExtractionModel("openai", model="any", api_key="sk", base_url=model_server.url, timeout_seconds=0.5)
    model_server.always(Hangs(), extraction=True)
    assert (await fail(Mem0Extractor(answers))).retry_after == 5
    await answers.close()


async def test_retry_after_of_a_mem0_provider_is_kept(model_server: ModelServer) -> None:
    model_server.always(Fails(503, retry_after="0.2"), extraction=True)  # its client waits so long itself, twice
    answers = Mem0ExtractionModel("openai", model="any", api_key="sk", base_url=model_server.url)
    assert (await fail(Mem0Extractor(answers))).retry_after == 0.2
    await answers.close()


def test_unusable_provider_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="LLM_PROVIDER"):
        Mem0ExtractionModel("oracle-of-delphi", model="any")
    with pytest.raises(ConfigurationError, match="LLM_BASE_URL"):
        Mem0ExtractionModel("together", model="any", base_url="http://127.0.0.1:9/v1")


def test_parse_facts_is_strict_about_the_shape() -> None:
    with pytest.raises(UnusableAnswer):
        parse_facts('{"memory": null}')


# ---------------------------------------------------------------- traps

CHILD = """
import logging, sys
reached, records = [], []
def watch(event, arguments):
    if event == "socket.connect" and arguments[1][0] != "127.0.0.1":
        reached.append(arguments[1])
    if event == "socket.getaddrinfo" and arguments[0] != "127.0.0.1":
        reached.append(arguments[0])
    if event == "sqlite3.connect":
        reached.append("sqlite3")
sys.addaudithook(watch)
class Keep(logging.Handler):
    def emit(self, record):
        records.append(f"{record.name} {record.getMessage()} {record.exc_text}")
logging.basicConfig(level=logging.DEBUG, handlers=[Keep()])
import asyncio, threading
from app.adapters.models.mem0 import Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.errors import ExtractionFailed
from app.core.ports import ChatMessage, ExtractionRequest, Role
logging.getLogger("mem0").setLevel(logging.DEBUG)
async def main(url):
    model = OpenAIModel(Connection(url), model="any")
    extractor = Mem0Extractor(OpenAIExtractionModel(model))
    request = ExtractionRequest([ChatMessage(Role.USER, "I love SENTINEL, Ann and the Big Apple.")], user_id="u")
    found = (await extractor.extract(request)).facts
    try:
        await extractor.extract(request)
    except ExtractionFailed:
        found = [*found, "failed"]
    await model.close()
    return len(found)
print(asyncio.run(main(sys.argv[1])))
print(reached)
print([record for record in records if "SENTINEL" in record])
print([thread.name for thread in threading.enumerate() if thread is not threading.main_thread()])
print(len(records) > 0)
"""


def test_extraction_leaves_no_file_connection_log_or_thread(model_server: ModelServer, tmp_path: Path) -> None:
    model_server.extraction(Facts("User loves SENTINEL", "User loves SENTINEL"), Raw("SENTINEL"), Raw("SENTINEL"))
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, model_server.url], env=environment, capture_output=True, text=True, timeout=120
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines() == ["2", "[]", "[]", "[]", "True"]
    assert not list(tmp_path.rglob("*"))
    kept = Path("app/adapters/models/mem0_home")
    assert {path.name for path in kept.iterdir()} <= {"config.json"}
