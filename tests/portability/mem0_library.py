"""An application that uses mem0's own library, run in a separate process: `python mem0_library.py CONFIG COUNT`.

It adds, updates and deletes memories, and prints the ids of all memories in its store.
"""

import json
import sys
from pathlib import Path
from typing import Any

from mem0 import Memory

OWNERS: list[dict[str, str]] = [
    {"user_id": "anna"},
    {"user_id": "jörg@example.com", "agent_id": "cook"},
    {"user_id": "anna", "run_id": "run/1"},
    {"user_id": "李伟", "agent_id": "cook", "run_id": "run-2"},
    {"agent_id": "guide"},
    {"run_id": "nightly"},
]
METADATA: list[dict[str, Any] | None] = [
    None,
    {"mood": "fröhlich ☕", "score": 0.25, "list": [1, None, "ü", {"deep": True}]},
    {"kind": "recipe", "categories": "food", "importance": "high", "profile": {"name": "x"}, "metadata": {"a": 1}},
    {"created_at": "2023-02-03T04:05:06.789012-08:00", "source": "an older system"},
]
ROLES = ["user", "assistant", "tool"]
EXPIRY = [None, None, None, "2020-01-01", "2199-12-31"]


def fill(memory: Memory, count: int) -> None:
    for number in range(count):
        message = {"role": ROLES[number % 3], "content": f"Number {number} is about tea ☕\nand “cake”  "}
        named = {"name": "Ben"} if number % 7 == 0 else {}
        more = {"metadata": METADATA[number % 4], "expiration_date": EXPIRY[number % 5]}
        owner = OWNERS[number % 6]
        [added] = memory.add([{**message, **named}], infer=False, **owner, **more)["results"]
        change(memory, added["id"], number)
    for _ in range(2):
        memory.add("The same words, twice", user_id="anna", infer=False)
    memory.add("I moved to Lisbon", user_id="anna", metadata={"infer": True}, infer=True)


def change(memory: Memory, memory_id: str, number: int) -> None:
    if number % 10 == 1:
        memory.update(memory_id, text=f"Number {number} is about coffee", metadata={"changed": number})
    elif number % 10 == 2:
        memory.update(memory_id, metadata={"only": "this"}, expiration_date=None)
    elif number % 50 == 3:
        memory.delete(memory_id)


if __name__ == "__main__":
    library = Memory.from_config(json.loads(Path(sys.argv[1]).read_text()))
    fill(library, int(sys.argv[2]))
    points, _ = library.vector_store.list(top_k=1_000_000)
    print(json.dumps([point.id for point in points]))  # noqa: T201
