import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from email.utils import format_datetime

import httpx2
import pytest
import pytest_asyncio

from app.adapters.models.errors import retry_delay, status_failure
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.circuit_breaker import BreakerState
from app.core.errors import AppError, TimedOut, TooLarge, Unavailable, UpstreamFailed
from app.core.ports import ChatMessage, ModelOptions, Role, Token, Usage
from tests.model_server import Drops, Fails, Hangs, ModelServer, Raw, Refuses, Says
from tests.patience import PATIENCE_SECONDS, succeeds

HELLO = [ChatMessage(Role.SYSTEM, "Be kind."), ChatMessage(Role.USER, "Hello, SENTINEL")]
PLAIN = ModelOptions()
MakeModel = Callable[..., OpenAIModel]


@pytest_asyncio.fixture
async def make_model(model_server: ModelServer) -> AsyncIterator[MakeModel]:
    made: list[OpenAIModel] = []

    def build(url: str | None = None, **connection: float) -> OpenAIModel:
        made.append(OpenAIModel(Connection(url or model_server.url, "sk-KEY", **connection), model="any"))  # type: ignore[arg-type]  # numbers of either kind
        return made[-1]

    yield build
    for model in made:
        await model.close()


async def listen(model: OpenAIModel, options: ModelOptions = PLAIN) -> tuple[str, list[Usage]]:
    text, usages = "", []
    async for part in model.stream(HELLO, options):
        if isinstance(part, Token):
            text += part.text
        else:
            usages.append(part)
    return text, usages


async def fail(model: OpenAIModel, options: ModelOptions = PLAIN) -> AppError:
    with pytest.raises(AppError) as raised:
        await listen(model, options)
    assert "SENTINEL" not in f"{raised.value!r} {raised.value.detail} {raised.value.headers}"
    assert "sk-KEY" not in f"{raised.value!r} {raised.value.detail}"
    return raised.value


# ---------------------------------------------------------------- answers


async def test_tokens_are_streamed_in_order_before_the_usage(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Says("Good", " morning", "."))
    assert await listen(make_model()) == ("Good morning.", [Usage(11, 3)])


async def test_missing_usage_is_estimated(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Says("Good", " morning", usage=False))
    [usage] = (await listen(make_model()))[1]
    assert usage.prompt_tokens > 0 < usage.completion_tokens


async def test_only_given_options_are_sent(make_model: MakeModel, model_server: ModelServer) -> None:
    await listen(make_model(), ModelOptions(model="other", temperature=0.2, max_tokens=50, keep=False))
    await listen(make_model())
    chosen, plain = model_server.conversations
    assert (chosen["model"], chosen["temperature"], chosen["max_tokens"], chosen["store"]) == ("other", 0.2, 50, False)
    assert set(plain) == {"model", "messages", "stream", "stream_options"}
    assert plain["messages"][1] == {"role": "user", "content": "Hello, SENTINEL"}


async def test_refusal_is_streamed_like_an_answer(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Refuses("I would rather not."))
    assert (await listen(make_model()))[0] == "I would rather not."


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Unsupported parameter: 'max_tokens' is not supported with this model.", "param": "max_tokens"},
        {"message": "body.max_tokens: Extra inputs are not permitted"},
    ],
)
async def test_refused_optional_parameter_is_replaced_or_left_out(
    make_model: MakeModel, model_server: ModelServer, error: dict[str, str]
) -> None:
    model, options = make_model(), ModelOptions(max_tokens=9)
    model_server.chat(Fails(400, error=error))
    await listen(model, options)
    await listen(model, options)
    sent = [("max_tokens" in body, "max_completion_tokens" in body) for body in model_server.conversations]
    assert sent == [(True, False), (False, True), (False, True)]


async def test_openai_gets_the_newer_parameter_name() -> None:
    seen: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.content)
        return httpx2.Response(503)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    model = OpenAIModel(Connection(api_key="sk-KEY", tries=1), model="gpt-5-mini", http=http)
    await fail(model, ModelOptions(max_tokens=9))
    assert b'"max_completion_tokens":9' in seen[0]
    assert b'"max_tokens"' not in seen[0]
    await model.close()


async def test_streamed_answer_contains_only_text_that_can_be_stored(
    make_model: MakeModel, model_server: ModelServer
) -> None:
    model_server.chat(Says("Nice ", "\ud83d", "\ude00", "\0", " half ", "\ud83d"))
    tokens = [part.text async for part in make_model().stream(HELLO, PLAIN) if isinstance(part, Token)]
    assert tokens == ["Nice ", "😀", " half ", "\ufffd"]


async def test_whole_answer_contains_only_text_that_can_be_stored(
    make_model: MakeModel, model_server: ModelServer
) -> None:
    model_server.chat(Raw("Nice \ud83d\ude00\0 half \ud83d"))
    assert (await make_model().complete(HELLO, PLAIN)).text == "Nice 😀 half \ufffd"


async def test_answer_that_is_not_utf8_is_an_unreadable_response() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        chunk = b'{"choices": [{"index": 0, "delta": {"content": "Hi \xf0\x9f"}, "finish_reason": "stop"}]}'
        streamed = b'"stream":true' in request.content
        kind = "text/event-stream" if streamed else "application/json"
        return httpx2.Response(
            200, content=b"data: " + chunk + b"\n\n" if streamed else chunk, headers={"content-type": kind}
        )

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    model = OpenAIModel(Connection(api_key="sk-KEY", tries=1), model="any", http=http)
    streamed = await fail(model)
    with pytest.raises(AppError) as whole:
        await model.complete(HELLO, PLAIN)
    assert streamed.detail == whole.value.detail
    assert model.breaker_state is BreakerState.CLOSED
    await model.close()


# ---------------------------------------------------------------- cancellation


async def test_closing_the_stream_ends_the_request(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Says(*["word "] * 1000, delay=0.01))
    model = make_model(at_once=1)
    async with aclosing(model.stream(HELLO, PLAIN)) as parts:
        await anext(parts)
    await until(lambda: model_server.abandoned == 1)
    assert (await listen(model))[0] == "Hello there."  # its place at the gate is free again


async def test_cancelling_the_caller_ends_the_request(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Hangs())
    task = asyncio.create_task(listen(make_model()))
    await until(lambda: bool(model_server.requests))
    task.cancel()
    await until(lambda: model_server.abandoned == 1)
    with pytest.raises(asyncio.CancelledError):
        await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110  # what is waited for happens in another thread
            await asyncio.sleep(0.01)


# ---------------------------------------------------------------- failures


async def test_temporary_failure_is_retried(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Fails(500), Drops(), Says("Here."))
    assert (await listen(make_model()))[0] == "Here."
    assert len(model_server.requests) == 3


async def test_empty_stream_is_retried(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Says(finished=False), Says("Here."))
    assert (await listen(make_model()))[0] == "Here."


async def test_retry_waits_as_long_as_the_server_asks() -> None:
    asked = status_failure("The model", "LLM", 429, "", {"retry-after": "3"})
    assert all(3 <= retry_delay(tried, asked) <= 4 for tried in range(1, 5))


def test_retries_back_off_exponentially() -> None:
    unasked = status_failure("The model", "LLM", 500, "", {})
    assert retry_delay(1, unasked) <= 0.5 < 1 <= retry_delay(3, unasked) <= 2
    assert len({retry_delay(2, unasked) for _ in range(20)}) > 10


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2), usegmt=True)
    assert 100 < (status_failure("The model", "LLM", 503, "", {"retry-after": soon}).retry_after or 0) <= 120


@pytest.mark.parametrize("status", [429, 503])
async def test_long_retry_after_is_passed_on(make_model: MakeModel, model_server: ModelServer, status: int) -> None:
    model_server.chat(Fails(status, retry_after="120"))
    error = await fail(make_model())
    assert (error.status, error.headers["Retry-After"], len(model_server.requests)) == (503, "120", 1)


async def test_failing_model_is_unavailable(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.always(Fails(500))
    error = await fail(make_model(tries=2))
    assert isinstance(error, Unavailable)
    assert error.headers["Retry-After"]
    assert len(model_server.requests) == 2


async def test_unreachable_model_is_unavailable(make_model: MakeModel) -> None:
    assert isinstance(await fail(make_model("http://127.0.0.1:9/v1", tries=1)), Unavailable)


async def test_hanging_model_times_out(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.always(Hangs())
    assert isinstance(await fail(make_model(timeout_seconds=0.2, tries=1)), TimedOut)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_timeout_is_the_longest_wait_with_all_tries(
    make_model: MakeModel, model_server: ModelServer, streamed: bool
) -> None:
    model_server.always(Hangs())
    model, began = make_model(timeout_seconds=1, tries=3), asyncio.get_running_loop().time()
    if streamed:
        assert isinstance(await fail(model), TimedOut)
    else:
        with pytest.raises(TimedOut):
            await model.complete(HELLO, PLAIN)
    assert asyncio.get_running_loop().time() - began > 0.9
    assert len(model_server.requests) <= 1, "no other try begins"


async def test_timeout_includes_the_pauses_between_tries(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.always(Fails(500, retry_after="3"))
    await fail(make_model(timeout_seconds=2))
    assert len(model_server.requests) == 1


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_timeout_includes_the_wait_in_the_queue(
    make_model: MakeModel, model_server: ModelServer, streamed: bool
) -> None:
    async def is_in_time(scale: float) -> bool:
        model_server.forget()
        model_server.chat(Says("a", delay=0.8 * scale))
        model_server.always(Hangs())
        model, began = make_model(timeout_seconds=1.2 * scale, at_once=1, tries=1), asyncio.get_running_loop().time()
        first = asyncio.create_task(listen(model))
        await until(lambda: len(model_server.requests) == 1)
        with pytest.raises(AppError) as raised:
            await (listen(model) if streamed else model.complete(HELLO, PLAIN))
        seconds = asyncio.get_running_loop().time() - began
        await asyncio.wait([first])
        return raised.type is TimedOut and seconds < 1.9 * scale

    assert await succeeds(is_in_time)


async def test_wait_in_the_queue_is_not_longer_than_the_timeout(
    make_model: MakeModel, model_server: ModelServer
) -> None:
    async def ends_before_the_first(scale: float) -> bool:
        model_server.forget()
        model_server.chat(Says(*"abcd", delay=0.3 * scale))
        model = make_model(timeout_seconds=0.6 * scale, at_once=1, tries=1)
        first = asyncio.create_task(listen(model))
        await until(lambda: len(model_server.requests) == 1)
        detail, is_first = (await fail(model)).detail, not first.done()
        await asyncio.wait([first])
        return "too many requests" in detail and is_first

    assert await succeeds(ends_before_the_first)


async def test_stream_may_take_longer_than_the_timeout_while_tokens_arrive(
    make_model: MakeModel, model_server: ModelServer
) -> None:
    async def hears_all(scale: float) -> bool:
        model_server.chat(Says(*"abcdef", delay=0.2 * scale))
        try:
            return (await listen(make_model(timeout_seconds=0.8 * scale, tries=1)))[0] == "abcdef"
        except TimedOut:
            return False

    assert await succeeds(hears_all)
    model_server.chat(Hangs(after=("a",)))
    assert isinstance(await fail(make_model(timeout_seconds=0.3, tries=1)), TimedOut)


async def test_hanging_model_opens_the_breaker_and_the_error_names_its_rest(
    make_model: MakeModel, model_server: ModelServer
) -> None:
    model_server.always(Hangs())
    model = make_model(timeout_seconds=0.1, tries=1, rest_seconds=40)
    waits = [int((await fail(model)).headers["Retry-After"]) for _ in range(6)]
    assert waits[:4] == [5] * 4
    assert all(20 < each <= 40 for each in waits[4:])
    assert model.breaker_state is BreakerState.OPEN
    assert len(model_server.requests) <= 5


@pytest.mark.parametrize("behaviour", [Drops(("Once ", "upon ")), Says("Once", " upon", finished=False)])
async def test_incomplete_answer_is_an_error(
    make_model: MakeModel, model_server: ModelServer, behaviour: Drops | Says
) -> None:
    model_server.chat(behaviour)
    assert isinstance(await fail(make_model()), Unavailable)
    assert len(model_server.requests) == 1  # what was said cannot be taken back, so it is not said again


async def test_hang_during_a_stream_times_out(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Hangs(after=("Once ",)))
    assert isinstance(await fail(make_model(timeout_seconds=0.2)), TimedOut)


@pytest.mark.parametrize(
    ("status", "error", "expected", "word"),
    [
        (401, {"message": "Incorrect key sk-KEY"}, UpstreamFailed, "LLM_API_KEY"),
        (404, {"message": "no model SENTINEL"}, UpstreamFailed, "LLM_BASE_URL"),
        (400, {"message": "too long SENTINEL", "code": "context_length_exceeded"}, TooLarge, "less"),
        (400, {"message": "bad: SENTINEL"}, UpstreamFailed, "400"),
        (429, {"message": "pay", "code": "insufficient_quota"}, Unavailable, "quota"),
    ],
)
async def test_permanent_failure_is_not_retried(
    make_model: MakeModel,
    model_server: ModelServer,
    status: int,
    error: dict[str, str],
    expected: type[AppError],
    word: str,
) -> None:
    model_server.chat(Fails(status, error=error))
    raised = await fail(make_model())
    assert isinstance(raised, expected)
    assert word in raised.detail
    assert len(model_server.requests) == 1


async def test_html_response_is_an_error(make_model: MakeModel) -> None:
    page = httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>", headers={"content-type": "text/html"}))
    model = OpenAIModel(Connection(tries=1), model="any", http=httpx2.AsyncClient(transport=page))
    await fail(model)
    with pytest.raises(UpstreamFailed):
        await model.complete(HELLO, PLAIN)
    await model.close()


# ---------------------------------------------------------------- circuit breaker and limits


async def test_consecutive_failures_open_the_breaker_and_a_success_closes_it(
    make_model: MakeModel, model_server: ModelServer
) -> None:
    resting, rested = make_model(tries=1), make_model(tries=1, rest_seconds=0.05)
    model_server.chat(*[Fails(500)] * 10)
    for model in (resting, rested):
        for _ in range(5):
            await fail(model)
    assert resting.breaker_state is BreakerState.OPEN
    assert not await resting.healthy()
    assert "does not respond" in (await fail(resting)).detail
    assert len(model_server.requests) == 10
    await asyncio.sleep(0.1)
    assert (await listen(rested))[0] == "Hello there."
    assert str(rested.breaker_state) == "closed"


async def test_cancelled_trial_admits_the_next(make_model: MakeModel, model_server: ModelServer) -> None:
    model = make_model(tries=1, rest_seconds=0.1)
    model_server.chat(*[Fails(500)] * 5, Hangs())
    for _ in range(5):
        await fail(model)
    await asyncio.sleep(0.15)
    trial = asyncio.create_task(listen(model))
    await until(lambda: len(model_server.requests) == 6)
    trial.cancel()
    await asyncio.wait([trial])
    assert (await listen(model))[0] == "Hello there."


async def test_rate_limit_of_the_server_does_not_open_the_breaker(
    make_model: MakeModel, model_server: ModelServer
) -> None:
    model = make_model(tries=1)
    model_server.chat(*[Fails(429, retry_after="60")] * 10)
    for _ in range(10):
        await fail(model)
    assert model.breaker_state is BreakerState.CLOSED


async def test_concurrent_and_waiting_requests_are_limited(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.always(Says("a", "b", delay=0.1))
    model = make_model(at_once=2, waiting=3)
    outcomes = await asyncio.gather(*[listen(model) for _ in range(8)], return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert len(refused) == 3
    assert all(error.headers["Retry-After"] for error in refused)
    assert len(model_server.requests) == 5


async def test_health_check_is_cached(make_model: MakeModel, model_server: ModelServer) -> None:
    model = make_model()
    assert await model.healthy()
    assert await model.healthy()
    assert [sent.path for sent in model_server.requests] == ["/v1/models"]
    assert not await make_model("http://127.0.0.1:9/v1").healthy()


async def test_content_is_not_logged_even_in_debug(make_model: MakeModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await listen(make_model())
    assert "SENTINEL" not in caplog.text
    assert "sk-KEY" not in caplog.text


# ---------------------------------------------------------------- embeddings


async def test_completion_contains_the_whole_answer(make_model: MakeModel, model_server: ModelServer) -> None:
    model_server.chat(Raw("{not json"))
    answer = await make_model().complete(HELLO, PLAIN)
    assert (answer.text, answer.refused, answer.cut_off) == ("{not json", False, False)
