"""Sources are split into values whatever their form, and wherever the parts that arrive are cut."""

import json
from collections.abc import AsyncIterator

import pytest

from app.portability.imports.read_source import MAX_LINE_BYTES, MAX_VALUES_OF_LINE, SourceValue, split_values

A, B = {"memory": "a\u2028\u0085b", "n": [1]}, {"memory": 'end"]}\\'}
LINES = "\n".join(json.dumps(each, ensure_ascii=False) for each in (A, B))


async def split(text: str | bytes, size: int = 1 << 20) -> list[SourceValue]:
    content = text if isinstance(text, bytes) else text.encode()

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    return [value async for value in split_values(parts())]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (LINES, (1, 2)),
        (f"\ufeff{LINES}\n", (1, 2)),
        (f"\n \n{LINES.replace(chr(10), chr(13) + chr(10))}\n\n", (3, 4)),
        (json.dumps([A, B]), (1, 2)),
        (f"\n {json.dumps([A, B], indent=2)}\n", (1, 2)),
        (json.dumps({"results": [A, B]}), (1, 1)),
        (json.dumps({"results": [A, B]}, indent=1), (1, 2)),
        (json.dumps([{"memories": [A]}, B]), (1, 2)),
        (json.dumps({"points": [A, B], "next": None}), (1, 1)),
    ],
    ids=["lines", "byte order mark", "blank lines", "list", "indented list", "object", "indented", "nested", "points"],
)
async def test_source_is_split_into_its_values(text: str, numbers: tuple[int, int], size: int) -> None:
    assert await split(text, size) == [SourceValue(numbers[0], A), SourceValue(numbers[1], B)]


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        (b'{"a": 1}\nnonsense\n{"a": 2}', [1, 3], [2]),
        (b'nonsense\n{"a": 2}', [2], [1]),
        (b'{"a": 1}\n{"a": "\xff"}\n{"a": 2}\n{"a', [1, 3], [2, 4]),
        (b'[{"a": 1}, {"a": nonsense}, {"a": 2}]', [1], [2]),
        (b'[{"a": 1}, {"a": 2}', [1, 2], [3]),
        (b'{"a": 1}\n' + b"[" * 100_000 + b'\n{"a": 2}', [1, 3], [2]),
        (b'{"a": 1}\n{"a": [' + b"1," * MAX_VALUES_OF_LINE + b'1]}\n{"a": 2}', [1, 3], [2]),
        (b'{"a": 1}\n"' + b"x" * MAX_LINE_BYTES + b'"\n{"a": 2}', [1, 3], [2]),
        (b"", [], []),
    ],
    ids=["line", "first line", "no utf-8", "element", "cut off", "deep", "many values", "long", "empty"],
)
async def test_values_that_cannot_be_read_are_numbered_and_the_others_are_read(
    text: bytes, good: list[int], bad: list[int]
) -> None:
    found = await split(text)
    assert [value.number for value in found if not value.problem] == good
    assert [value.number for value in found if value.problem] == bad
