from collections.abc import Mapping

from app.core.ports import Role
from app.core.text.forget_requests import read_forget_request
from app.core.text.privacy_wishes import asks_not_to_store


def is_never_stored(message: Mapping[str, str]) -> bool:
    """A user's request to forget would keep what is to be forgotten; a wish not to be stored is granted."""
    if message["role"] != Role.USER:
        return False
    return read_forget_request(message["content"]) is not None or asks_not_to_store(message["content"])
