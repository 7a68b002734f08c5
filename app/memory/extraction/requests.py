from collections.abc import Mapping

from app.core.ports import Role
from app.core.text.forget_requests import read_forget_request


def asks_to_forget(message: Mapping[str, str]) -> bool:
    """Such a message of a user never becomes a memory: it would keep what is to be forgotten."""
    return message["role"] == Role.USER and read_forget_request(message["content"]) is not None
