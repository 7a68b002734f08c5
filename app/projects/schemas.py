import datetime as dt
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StringConstraints

from app.core.http.strict_requests import RequestBody
from app.core.ports import EmbedderChoice
from app.core.storable_text import no_nul

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(no_nul)]
Description = Annotated[str, StringConstraints(max_length=2000), AfterValidator(no_nul)]


class MemberRole(StrEnum):
    OWNER = "OWNER"
    READER = "READER"


class ProjectRole(StrEnum):
    OWNER = "OWNER"
    READER = "READER"
    USER = "USER"


class ProjectCreate(RequestBody):
    name: Name
    description: Description | None = None
    organization_id: UUID | None = None


class ProjectPatch(RequestBody):
    name: Name | None = None
    description: Description | None = None
    list_episodes: bool | None = Field(
        None, description="Whether lists of memories contain what was said word for word. The default is true."
    )
    consolidate: bool | None = Field(
        None,
        description="Whether memories are consolidated daily: those that newer ones contradict or repeat are"
        " superseded, and summaries replace long-unused episodes. Off by default.",
    )
    embedder: EmbedderChoice | None = Field(
        None,
        description="`multilingual` finds a memory in another language than the question. Vectors are rebuilt in the"
        " background; until then, searches use the old ones.",
    )


class ProjectRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    organization_id: UUID | None = Field(description="Null for end users of the project.")
    name: str
    description: str | None
    role: ProjectRole | None = Field(description="Your role. Null for an API key, which has scopes instead.")
    list_episodes: bool = Field(
        description="Whether lists of memories contain episodes. If not, a filter by `kind` still finds them."
    )
    consolidate: bool = Field(
        description="Whether memories are consolidated daily: newer ones and summaries replace older ones."
    )
    embedder: EmbedderChoice = Field(description="The embedder that the project has chosen.")
    is_changing_embedder: bool = Field(description="Searches still use the previous embedder.")
    embedded_memories: int | None = Field(description="While the vectors are rebuilt: memories that are done.")
    memories_to_embed: int | None = Field(description="While the vectors are rebuilt: memories in all.")
    created_at: dt.datetime
    updated_at: dt.datetime


class OrganizationRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    personal: bool
    role: MemberRole
    created_at: dt.datetime


class OrganizationCreate(RequestBody):
    name: Name


class OrganizationPatch(RequestBody):
    name: Name | None = None


def changes_in(patch: ProjectPatch | OrganizationPatch) -> dict[str, object]:
    """The fields of the request. Only a description can be removed; null leaves the others unchanged."""
    sent = patch.model_dump(exclude_unset=True, exclude={"embedder"})
    return {field: value for field, value in sent.items() if field == "description" or value is not None}


class MemberRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    account_id: UUID
    email: str | None
    role: MemberRole
    created_at: dt.datetime


class ProjectMemberRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    account_id: UUID
    email: str | None
    role: ProjectRole = Field(description="The strongest of the roles in the project and its organization.")
    inherited: bool = Field(description="A member of the organization only. Change the membership there.")
    created_at: dt.datetime


class OrganizationMemberAdd(RequestBody):
    email: EmailStr
    role: MemberRole = MemberRole.READER


class ProjectMemberAdd(RequestBody):
    email: EmailStr
    role: ProjectRole = ProjectRole.READER


class MemberChange(RequestBody):
    role: MemberRole


class ProjectMemberChange(RequestBody):
    role: ProjectRole
