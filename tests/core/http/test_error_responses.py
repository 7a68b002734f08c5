import json

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import exc

from app.core.errors import Unavailable
from app.core.http.error_responses import translate_database_error

SECRET = "sentinel 4711"


def shape_of(answer: httpx.Response) -> set[str]:
    return set(answer.json())


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/health", 405, "method_not_allowed"),
        ("PUT", "/v1/profiles", 405, "method_not_allowed"),
        ("GET", "/v1/profiles", 401, "unauthorized"),
    ],
)
async def test_errors_have_one_shape(
    anonymous: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await anonymous.request(method, path)
    assert answer.status_code == status
    assert shape_of(answer) == {"detail", "code", "request_id"}
    assert answer.json()["code"] == code
    assert len(answer.json()["detail"].split()) > 3, "a sentence"
    assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": [SECRET], "user_id": "ana"}, "name"),
        ({"name": SECRET * 100, "user_id": "ana"}, "name"),
        ({"name": SECRET + "\x00", "user_id": "ana"}, "name"),
        ({"name": "x", "user_id": {SECRET: SECRET}}, "user_id"),
        ({"name": "x", "user_id": "ana", "is_default": SECRET}, "is_default"),
        ({"name": SECRET + "\ud800", "user_id": "ana"}, "name"),
        (SECRET, ""),
        ([SECRET], ""),
    ],
)
async def test_validation_error_names_the_field_and_not_the_value(
    client: httpx.AsyncClient, body: object, field: str
) -> None:
    written = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
    answer = await client.post("/v1/profiles", **written)  # type: ignore[arg-type]  # httpx cannot write half a letter
    assert answer.status_code == 422, answer.text
    assert shape_of(answer) == {"detail", "code", "request_id"}
    assert isinstance(answer.json()["detail"], str)
    assert field in answer.json()["detail"]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{'a': 1}", b"\xff\xfe\x00", b'{"name": "\xff"}', b"\x00", b"[" * 9_000, b"NaN", b'{"a": 1e999}'],
    ids=range(9),
)
async def test_unreadable_body_is_a_client_error(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/v1/profiles", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert shape_of(answer) == {"detail", "code", "request_id"}
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00{", b"[" * 100_000])
async def test_invalid_json_is_reported_as_such(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/v1/profiles", content=content, headers={"Content-Type": "application/json"})
    assert "JSON" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_json_with_another_content_type_is_told_the_header(client: httpx.AsyncClient, kind: str) -> None:
    sent = {"content": b'{"name": "x", "user_id": "ana"}', "headers": {"Content-Type": kind}}
    answer = await client.post("/v1/profiles", **sent)  # type: ignore[arg-type]  # two kinds of value in one dict
    assert (answer.status_code, "`Content-Type: application/json`" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("user_id", ["", "x" * 501])
async def test_length_errors_speak_of_characters(client: httpx.AsyncClient, user_id: str) -> None:
    answer = await client.post("/v3/memories/add/", json={"messages": "Tea", "user_id": user_id})
    assert answer.json()["detail"].startswith("`user_id`: Value should have at ")
    assert answer.json()["detail"].endswith(" characters")


@pytest.mark.parametrize("email", ["", "ana", "ana@", "a b@example.com", "a@@example.com"])
async def test_invalid_email_error_shows_an_example(anonymous: httpx.AsyncClient, email: str) -> None:
    refused = await anonymous.post("/v1/auth/signup", json={"email": email, "password": "correct horse"})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "`email`: must be an e-mail address, such as you@example.com",
    )


@pytest.mark.parametrize(
    "messages", [5, "\x00", [{"content": "\x00"}], [{"content": [{"text": "\x00"}]}], [{"role": "x"}]]
)
async def test_validation_error_locates_the_field_in_the_request(client: httpx.AsyncClient, messages: object) -> None:
    answer = await client.post("/v3/memories/add/", json={"messages": messages, "user_id": "ana"})
    location = answer.json()["detail"].split("`")[1]
    assert set(location.split(".")) <= {"messages", "0", "content", "text", "role"}


@pytest.mark.parametrize("path", ["/v1/profiles?user_id=%00", "/v1/profiles?user_id=%ff", "/v1/profiles/%00", "/%00"])
async def test_odd_paths_are_not_server_errors(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code < 500


async def test_unexpected_error_has_the_same_shape_and_no_content_in_the_log(
    extendable_app: FastAPI, app_client: httpx.AsyncClient, debug_logging: None, capfd: pytest.CaptureFixture[str]
) -> None:
    async def boom(body: dict[str, str]) -> None:
        try:
            int(body["text"])
        except ValueError as error:
            raise RuntimeError(f"could not read {body}") from error

    extendable_app.add_api_route("/boom", boom, methods=["POST"])
    answer = await app_client.post("/boom", json={"text": SECRET})
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "The server failed unexpectedly. Give this request_id to the operator.",
        "code": "internal_error",
        "request_id": answer.headers["X-Request-ID"],
    }
    logged = capfd.readouterr()
    assert "RuntimeError at test_error_responses.py" in logged.out
    assert "ValueError" in logged.out
    assert answer.headers["X-Request-ID"] in logged.out
    assert "4711" not in logged.out + logged.err


async def test_ordinary_requests_leave_no_content_in_the_log(
    client: httpx.AsyncClient, debug_logging: None, capfd: pytest.CaptureFixture[str]
) -> None:
    bodies = (b'{"name": "4711", "user_id": "ana"}', b'{"name": "sentinel 4711', b'{"name": {"4711": 1}}')
    for content in bodies:
        await client.post("/v1/profiles", content=content, headers={"Content-Type": "application/json"})
    await client.post("/v1/auth/login", json={"email": "s4711@example.com", "password": "sentinel 4711"})
    await client.get("/v1/profiles?user_id=4711")
    logged = capfd.readouterr()
    assert logged.out.count('"event": "request"') == 5
    assert "4711" not in logged.out + logged.err


def database_error(kind: type[psycopg.Error]) -> exc.DBAPIError:
    wrapper = exc.OperationalError if issubclass(kind, psycopg.OperationalError) else exc.ProgrammingError
    return wrapper("select", {}, kind(SECRET))


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (database_error(psycopg.errors.DiskFull), 503, "disk is full"),
        (database_error(psycopg.errors.QueryCanceled), 504, "took too long"),
        (database_error(psycopg.OperationalError), 503, "does not respond"),
        (database_error(psycopg.errors.DeadlockDetected), 503, "Nothing was changed"),
        (exc.TimeoutError("QueuePool limit"), 503, "busy"),
        (exc.DataError("insert", {}, psycopg.errors.UntranslatableCharacter(SECRET)), 422, "cannot be stored"),
        (exc.DataError("insert", {}, psycopg.DataError(SECRET)), 422, "cannot be stored"),
        (exc.DataError("insert", {}, psycopg.errors.DivisionByZero(SECRET)), 500, "failed unexpectedly"),
        (exc.IntegrityError("insert", {}, psycopg.errors.ForeignKeyViolation(SECRET)), 409, "at the same time"),
        (exc.IntegrityError("insert", {}, psycopg.errors.UniqueViolation(SECRET)), 409, "at the same time"),
        (exc.IntegrityError("insert", {}, psycopg.errors.CheckViolation(SECRET)), 500, "failed unexpectedly"),
        (database_error(psycopg.errors.UndefinedTable), 500, "failed unexpectedly"),
    ],
)
def test_database_errors_are_translated(error: Exception, status: int, word: str) -> None:
    app_error = translate_database_error(error)
    assert app_error.status == status
    assert word in app_error.detail
    assert SECRET not in app_error.detail


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("A system is away."),
        translate_database_error(exc.TimeoutError()),
        translate_database_error(exc.OperationalError("select", None, psycopg.OperationalError("gone"))),
        translate_database_error(exc.InterfaceError("select", None, psycopg.InterfaceError("gone"))),
    ],
    ids=["default", "pool exhausted", "connection lost", "connection closed"],
)
async def test_every_unavailable_response_says_when_to_retry(
    extendable_app: FastAPI, app_client: httpx.AsyncClient, error: Unavailable
) -> None:
    @extendable_app.get("/away")
    async def away() -> None:
        raise error

    response = await app_client.get("/away")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
