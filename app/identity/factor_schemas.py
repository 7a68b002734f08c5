"""Request and response bodies of /v1/auth/mfa."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul
from app.identity.schemas import Secret

FactorName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(no_nul)]


class FactorEnroll(RequestBody):
    name: FactorName = Field("", description="Distinguishes several factors of an account.")


class FactorEnrolled(BaseModel):
    """The secret is shown only now. Show the QR code, or the secret for typing."""

    id: UUID
    secret: str
    uri: str = Field(description="The address in the QR code, `otpauth://…`.")
    qr_code: str = Field(description="An SVG image as a `data:` URL.")


class FactorChallengeCreate(RequestBody):
    factor_id: UUID


class FactorChallengeRead(BaseModel):
    id: UUID
    expires_at: dt.datetime


class FactorVerify(RequestBody):
    factor_id: UUID
    challenge_id: UUID | None = Field(None, description="Of `POST /v1/auth/mfa/challenge`. Created if left out.")
    code: Secret = Field(description="The six digits that the authenticator app shows. Each code is accepted once.")
