from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from app.core.ports import Role
from app.core.text.forget_requests import read_forget_request
from app.core.text.privacy_wishes import asks_not_to_store

M = TypeVar("M", bound=Mapping[str, object])


def is_never_stored(message: Mapping[str, str]) -> bool:
    """A user's request to forget would keep what is to be forgotten; a wish not to be stored is granted."""
    if message["role"] != Role.USER:
        return False
    return read_forget_request(message["content"]) is not None or asks_not_to_store(message["content"])


def leave_out_exchanges(messages: Iterable[M], is_left_out: Callable[[M], bool]) -> list[M]:
    """Without the messages that are left out, and without the answers to them, which may repeat their words."""
    kept, left_out = [], False
    for message in messages:
        if message["role"] == Role.USER:
            left_out = is_left_out(message)
        if not left_out or message["role"] not in (Role.USER, Role.ASSISTANT):
            kept.append(message)
    return kept
