"""Text that Postgres can store."""

import json
import re

from pydantic import JsonValue


def no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain half a character: JSON can write one, and nothing can store it")
    return text


NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def storable(value: JsonValue) -> JsonValue:
    """JSON that Postgres can hold: no NUL, no half characters, no NaN."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (ValueError, RecursionError):
        raise ValueError("must be plain JSON: finite numbers and whole characters") from None
    if NUL.search(written):
        raise ValueError("must not contain a NUL character")
    return value


def storable_object(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    storable(value)
    return value
