"""The JSON object in what a language model answered, which may have other words around it."""

import json
import re
from typing import Any

OBJECT = re.compile(r"\{.*\}", re.DOTALL)


def read_json_object(answer: str) -> dict[str, Any] | None:
    """None without a readable one."""
    match = OBJECT.search(answer)
    try:
        found = json.loads(match[0]) if match else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
