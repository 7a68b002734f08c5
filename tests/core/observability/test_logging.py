import json
import logging

import pytest

from app.core.observability.logging import describe, request_id

SECRET = "sentinel 4711"


def fail(cause: Exception | None = None) -> Exception:
    try:
        raise ValueError(SECRET) from cause
    except ValueError as error:
        return error


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    logged = capfd.readouterr()
    assert "4711" not in logged.out + logged.err
    return [json.loads(line) for line in logged.out.splitlines()]


def test_error_is_described_by_type_and_origin_without_its_message() -> None:
    described = describe(fail(fail()))
    assert described.startswith("ValueError at test_logging.py:")
    assert "; from ValueError at test_logging.py:" in described
    assert "4711" not in described


@pytest.mark.parametrize("level", [logging.DEBUG, 15, logging.INFO, 25, logging.WARNING, 35, logging.ERROR, 50, 60, 5])
def test_messages_of_libraries_are_not_quoted_at_any_level(
    debug_logging: None, capfd: pytest.CaptureFixture[str], level: int
) -> None:
    library = logging.getLogger("some.library")
    library.setLevel(1)
    logging.getLogger().setLevel(1)
    library.log(level, "could not parse %s", SECRET)
    library.log(level, SECRET, exc_info=fail())
    logged = lines(capfd)
    assert [line["event"] for line in logged] == ["library.message", "library.message"]
    assert {line["logger"] for line in logged} == {"some.library"}
    assert "test_logging.py" in str(logged[0]["at"])
    assert str(logged[1]["error"]).startswith("ValueError at test_logging.py")


def test_trusted_library_is_quoted_unless_it_logs_an_error(
    debug_logging: None, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("uvicorn.error").warning("address in use")
    logging.getLogger("uvicorn.error").warning(SECRET, exc_info=fail())
    logged = lines(capfd)
    assert logged[0]["message"] == "address in use"
    assert "message" not in logged[1]


def test_log_lines_of_a_request_contain_its_id(debug_logging: None, capfd: pytest.CaptureFixture[str]) -> None:
    token = request_id.set("abc")
    logging.getLogger("some.library").warning("x")
    request_id.reset(token)
    logging.getLogger("some.library").warning("x")
    logged = lines(capfd)
    assert [line.get("request_id") for line in logged] == ["abc", None]
