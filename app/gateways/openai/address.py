"""Which user, profile, session and privacy mode a request is about: `user`, then `metadata`, then headers."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from app.chat.schemas import TurnOptions
from app.core.errors import BadRequest
from app.core.http.error_responses import describe_invalid_value
from app.core.http.header_text import header_text
from app.identity.caller import Caller
from app.sessions.privacy import PrivacyMode
from app.sessions.schemas import UserId

HEADERS = {
    "user_id": "X-User-Id",
    "profile_id": "X-Profile-Id",
    "session_id": "X-Session-Id",
    "privacy_mode": "X-Privacy-Mode",
}
CONFIRMATIONS = ("confirm_forget", "confirm_forget_all", "forget_messages")
OWN_METADATA = frozenset({*HEADERS, *CONFIRMATIONS})
OPTIONS: TypeAdapter[TurnOptions] = TypeAdapter(TurnOptions)


class Address(BaseModel):
    user_id: UserId | None = None
    profile_id: UUID | None = None
    session_id: UUID | None = None
    privacy_mode: PrivacyMode | None = Field(None, description="The mode from this message on.")


def read_address(
    request: Request, user: str | None, metadata: Mapping[str, Any] | None, *, store: bool | None
) -> Address:
    """`store: false` is incognito: it asks for more privacy than any mode that is named beside it."""
    values: dict[str, Any] = {}
    for name, header in HEADERS.items():
        value = (metadata or {}).get(name)
        value = header_text(request.headers, header) if value is None else value
        if value is not None:
            values[name] = value
    if user:
        values["user_id"] = user
    if store is False:
        values["privacy_mode"] = PrivacyMode.INCOGNITO
    try:
        return Address.model_validate(values)
    except ValidationError as error:
        raise BadRequest(describe_invalid_value(error.errors()[0]), code="invalid_request") from None


def require_user(caller: Caller, address: Address) -> None:
    """Names the parameter as OpenAI's clients know it."""
    if caller.account_id is None and address.user_id is None and address.session_id is None:
        raise BadRequest("An API key can act for any user of its project. Send `user` to name one.")


def read_confirmation(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Values of metadata are texts, so ids are separated by commas."""
    found = {name: metadata[name] for name in CONFIRMATIONS if name in metadata} if metadata else {}
    if not found:
        return {}
    if isinstance(ids := found.get("confirm_forget"), str):
        found["confirm_forget"] = [each.strip() for each in ids.split(",") if each.strip()]
    try:
        return OPTIONS.validate_python(found).model_dump(include=set(found))
    except ValidationError as error:
        raise BadRequest(describe_invalid_value(error.errors()[0]), code="invalid_request") from None


def foreign_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is the model's: names of users stay here."""
    return {name: value for name, value in (metadata or {}).items() if name not in OWN_METADATA}
