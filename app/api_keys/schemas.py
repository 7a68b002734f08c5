import datetime as dt
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

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


class ApiKeyCreate(BaseModel):
    name: Name
    scopes: list[Scope] | None = Field(
        None, min_length=1, description="Defaults to all scopes that an application needs."
    )
    expires_at: Future | None = None


class ApiKeyPatch(BaseModel):
    name: Name | None = None
    scopes: list[Scope] | None = Field(None, min_length=1)
    expires_at: Future | None = None


class ApiKeyRotate(BaseModel):
    overlap_seconds: int = Field(86400, ge=0, le=30 * 86400, description="How long the old secret keeps working.")


class ApiKeyRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None


class ApiKeyIssued(ApiKeyRead):
    key: str = Field(description="The secret. It is shown only once, so store it with the secrets of your application.")
