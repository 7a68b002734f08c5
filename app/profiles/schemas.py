"""The requests and responses of /v1/profiles."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.core.http.strict_requests import RequestBody
from app.core.storable_text import no_nul

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(no_nul)]
Description = Annotated[str, StringConstraints(max_length=2000), AfterValidator(no_nul)]
Persona = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(no_nul)]
UserId = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)]


class ProfileCreate(RequestBody):
    name: Name
    description: Description | None = None
    persona: Persona | None = Field(
        None, description="A system prompt that describes the assistant under this profile."
    )
    is_default: bool = False
    user_id: UserId | None = Field(
        None, description="The user to act for. Defaults to yourself; required with an API key."
    )


class ProfilePatch(RequestBody):
    name: Name | None = None
    description: Description | None = None
    persona: Persona | None = None


class ProfileCopy(RequestBody):
    to_profile_id: UUID = Field(description="The profile to copy to. It must belong to the same user.")


class ProfileRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: str
    name: str
    description: str | None
    persona: str | None
    is_default: bool
    created_at: dt.datetime
    updated_at: dt.datetime


class CopiedMemories(BaseModel):
    copied: int
    already_there: int
