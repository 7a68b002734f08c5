import datetime as dt
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from app.api_keys.models import ApiKey
from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul
from app.identity.scopes import Scope


def _in_the_future(moment: dt.datetime) -> dt.datetime:
    try:
        # Postgres refuses some time zone offsets that Python accepts.
        moment = moment.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("is too far in the future") from None
    if moment <= dt.datetime.now(dt.UTC):
        raise ValueError("must be in the future")
    return moment


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(no_nul)]
Future = Annotated[AwareDatetime, AfterValidator(_in_the_future)]


class ApiKeyCreate(RequestBody):
    name: Name
    scopes: list[Scope] | None = Field(
        None, min_length=1, description="Defaults to all scopes that an application needs."
    )
    expires_at: Future | None = Field(
        None, description="Defaults to the expiry of the API key that sends the request, or to none."
    )


class ApiKeyPatch(RequestBody):
    name: Name | None = None
    scopes: list[Scope] | None = Field(None, min_length=1)
    expires_at: Future | None = None


class ApiKeyRotate(RequestBody):
    overlap_seconds: int = Field(86400, ge=0, le=30 * 86400, description="How long the old secret keeps working.")


class KeyCreator(BaseModel):
    account_id: UUID
    email: str | None = Field(description="null if it is no member any more, or if you lack `projects:read`.")


class ApiKeyRead(BaseModel):
    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_by: KeyCreator | None = Field(
        description="The account whose rights limit those of the key; null for keys of the operator."
    )
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None

    @classmethod
    def render(cls, row: ApiKey, emails: Mapping[UUID, str]) -> "ApiKeyRead":
        creator = KeyCreator(account_id=row.created_by, email=emails.get(row.created_by)) if row.created_by else None
        plain = {name: getattr(row, name) for name in cls.model_fields if name != "created_by"}
        return cls(created_by=creator, **plain)


class ApiKeyIssued(ApiKeyRead):
    key: str = Field(description="The secret. It is shown only once, so store it with the secrets of your application.")
