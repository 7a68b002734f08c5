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


class KeyClient(BaseModel):
    document: str | None = Field(
        description="The address of the document that the client publishes about itself; null if it registered itself."
    )
    redirect_uri: str = Field(description="Where the browser returned to when the person agreed.")


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
    client: KeyClient | None = Field(
        description="Set if this is what a person granted to a client of OAuth: `name` is the client's,"
        " `created_at` the time of the consent, and `scopes` what the person agreed to. null for a key."
    )

    @classmethod
    def render(cls, row: ApiKey, emails: Mapping[UUID, str]) -> "ApiKeyRead":
        creator = KeyCreator(account_id=row.created_by, email=emails.get(row.created_by)) if row.created_by else None
        plain = {name: getattr(row, name) for name in cls.model_fields if name not in ("created_by", "client")}
        return cls(created_by=creator, client=_client_of(row), **plain)


def _client_of(row: ApiKey) -> KeyClient | None:
    if row.client_id is None or row.redirect_uri is None:
        return None
    document = row.client_id if row.client_id.startswith(("https://", "http://")) else None
    return KeyClient(document=document, redirect_uri=row.redirect_uri)


class ApiKeyIssued(ApiKeyRead):
    key: str = Field(description="The secret. It is shown only once, so store it with the secrets of your application.")
