"""Split a file or a request body into JSON values: one on each line, or the elements of one JSON document."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

MAX_LINE_BYTES = 16 << 20
MAX_VALUES_OF_LINE = 500_000
"""Parsing and checking more values than this takes seconds, during which nothing else runs."""
LISTS = ("results", "points", "memories", "conversations")
"""Where a document or a line keeps its elements, if it is an object."""
WHITESPACE = " \t\r\n,"
DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class SourceValue:
    number: int
    """The line, or the place of the element in its document, counted from 1."""
    value: object = None
    problem: str | None = None
    """Why there is no value."""


async def split_values(
    parts: AsyncIterator[bytes], max_document_bytes: int | None = None
) -> AsyncIterator[SourceValue]:
    """A document is held as a whole, lines are not."""
    start = await _read_start(parts)
    if start.lstrip().startswith(b"[") or not _is_json(start.partition(b"\n")[0]):
        document = await _read_all(start, parts, max_document_bytes)
        for value in [_too_large(max_document_bytes)] if document is None else _split_text(document):
            yield value
        return
    async for value in _split_lines(start, parts):
        yield value


async def _read_all(start: bytes, parts: AsyncIterator[bytes], max_bytes: int | None) -> bytes | None:
    """None if it is too large. The rest is received nevertheless, so that the client reads the answer."""
    found, size = [start], len(start)
    async for part in parts:
        size += len(part)
        if max_bytes is None or size <= max_bytes:
            found.append(part)
        else:
            found.clear()
    return b"".join(found) if max_bytes is None or size <= max_bytes else None


def _too_large(max_bytes: int | None) -> SourceValue:
    size = f"{(max_bytes or 0) >> 20} MB"
    hint = "Write one JSON object on each line instead of one list, or use `python -m app import`."
    return SourceValue(1, problem=f"begins a JSON document of more than {size}. {hint}")


async def _read_start(parts: AsyncIterator[bytes]) -> bytes:
    """Up to the end of the first line that has text, or all of the input if it has no line end."""
    start = b""
    async for part in parts:
        start = (start + part).removeprefix(b"\xef\xbb\xbf")
        if b"\n" in start.strip() or start.lstrip().startswith(b"["):
            break
    return start.lstrip() if not start.strip() else start[_leading_blank(start) :]


def _leading_blank(start: bytes) -> int:
    return len(start) - len(start.lstrip(b" \t"))


async def _split_lines(start: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[SourceValue]:
    number, rest = 0, bytearray(start)
    while True:
        *lines, tail = bytes(rest).split(b"\n")
        for line in lines:
            number += 1
            for value in _read_line(number, line):
                yield value
        rest = bytearray(tail)
        if len(rest) > MAX_LINE_BYTES:
            number += 1
            yield SourceValue(number, problem=_too_long())
            rest = bytearray(await _skip_line(parts))
            continue
        part = await anext(parts, None)
        if part is None:
            break
        rest += part
    for value in _read_line(number + 1, bytes(rest)):
        yield value


async def _skip_line(parts: AsyncIterator[bytes]) -> bytes:
    """What follows the end of the line."""
    async for part in parts:
        if b"\n" in part:
            return part.partition(b"\n")[2]
    return b""


def _read_line(number: int, line: bytes) -> Iterator[SourceValue]:
    if not line.strip():
        return
    if problem := _size_problem(line):
        yield SourceValue(number, problem=problem)
        return
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        yield SourceValue(number, problem="is not JSON. Write one JSON object on each line, or one list.")
        return
    for inner in _unfold(value):
        yield SourceValue(number, inner)


def _split_text(content: bytes) -> Iterator[SourceValue]:
    """A document, or lines of which the first is no JSON."""
    if content.lstrip().startswith(b"["):
        yield from _split_list(content)
    elif _size_problem(content) is None and (document := _parse_document(content)) is not None:
        yield from (SourceValue(number, value) for number, value in enumerate(_unfold(document), 1))
    else:
        for number, line in enumerate(content.split(b"\n"), 1):
            yield from _read_line(number, line)


def _split_list(content: bytes) -> Iterator[SourceValue]:
    """Element by element, so that a large document does not become one large object."""
    text = content.decode(errors="surrogateescape")
    place, number = text.index("[") + 1, 0
    while True:
        while place < len(text) and text[place] in WHITESPACE:
            place += 1
        if text[place : place + 1] in ("]", ""):
            if not text[place:].strip(" \t\r\n").startswith("]"):
                yield SourceValue(number + 1, problem="is missing: the list has no end, so the file was cut off.")
            return
        number += 1
        try:
            value, end = DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield SourceValue(number, problem="is not JSON, so neither it nor the elements after it can be read.")
            return
        problem = _size_problem(text[place:end].encode(errors="surrogateescape"))
        place = end
        if problem:
            yield SourceValue(number, problem=problem)
        else:
            yield from (SourceValue(number, each) for each in _unfold(value))


def _unfold(value: object) -> Iterator[object]:
    lists = [value[name] for name in LISTS if isinstance(value.get(name), list)] if isinstance(value, dict) else []
    yield from lists[0] if lists else [value]


def _parse_document(content: bytes) -> object | None:
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _size_problem(value: bytes) -> str | None:
    if len(value) > MAX_LINE_BYTES:
        return _too_long()
    if value.count(b",") + value.count(b"[") + value.count(b"{") > MAX_VALUES_OF_LINE:
        return f"has more than {MAX_VALUES_OF_LINE:,} JSON values."
    return None


def _too_long() -> str:
    return f"is longer than {MAX_LINE_BYTES >> 20} MB."
