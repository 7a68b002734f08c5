"""Text that Postgres can store."""

import json
import re

from pydantic import JsonValue


def no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain a lone surrogate, which cannot be stored")
    return text


NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def storable(value: JsonValue) -> JsonValue:
    """Validates JSON that Postgres can store: no NUL, no lone surrogates, no NaN."""
    try:
        encoded = json.dumps(value, ensure_ascii=False, allow_nan=False)
        encoded.encode()
    except (ValueError, RecursionError):
        raise ValueError("must be plain JSON with finite numbers and without lone surrogates") from None
    if NUL.search(encoded):
        raise ValueError("must not contain a NUL character")
    return value


def storable_object(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    storable(value)
    return value
