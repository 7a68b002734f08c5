"""Text that Postgres can store."""

import json
import re
import unicodedata

from pydantic import JsonValue


def no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain a lone surrogate, which cannot be stored")
    return text


INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""The categories of Unicode for control characters, format characters such as the zero-width space, and spaces."""


def is_blank(text: str) -> bool:
    """Whether the text has no visible character. Stops at the first one, so that long texts cost nothing."""
    return all(unicodedata.category(character) in INVISIBLE_CATEGORIES for character in text)


def not_blank(text: str) -> str:
    if is_blank(text):
        raise ValueError("must not be blank")
    return text


def clean_text(text: str) -> str:
    """Text of a model, which may contain a NUL or half of a surrogate pair. Two adjacent halves are one character."""
    text = text.replace("\x00", "")
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class TextCleaner:
    """Cleans text that arrives in pieces. The first half of a pair waits for the piece that brings the second."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        text = (self._half + piece).replace("\x00", "")
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return clean_text(text.removesuffix(self._half))

    def finish(self) -> str:
        return clean_text(self._half)


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
