"""Organizations, projects and members as mem0's clients send and expect them. Ids are strings."""

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field, StringConstraints

from app.core.storable_text import no_nul
from app.projects.schemas import Description, MemberRole, Name


def _joined(value: object) -> object:
    """mem0's own documents disagree whether instructions are a text or a list of texts."""
    return "\n".join(map(str, value)) if isinstance(value, list) else value


def _one_name_each(categories: "list[str | dict[str, str]] | None") -> "list[str | dict[str, str]] | None":
    for category in categories or []:
        named = [category] if isinstance(category, str) else list(category)
        if len(named) != 1 or not 0 < len(named[0].strip()) <= 100:
            raise ValueError('each category is a name, or {"name": "what belongs in it"}')
    return categories


Instructions = Annotated[str, BeforeValidator(_joined), StringConstraints(max_length=20_000), AfterValidator(no_nul)]
Category = Annotated[str, StringConstraints(max_length=2000), AfterValidator(no_nul)]
Categories = Annotated[list[Category | dict[Category, Category]], Field(max_length=200), AfterValidator(_one_name_each)]


class OrganizationNamed(BaseModel):
    name: Name


class OrganizationShown(BaseModel):
    id: str
    org_id: str
    name: str
    personal: bool
    user_role: str | None = Field(description="Yours; null for an API key")
    created_at: dt.datetime


class OrganizationMade(BaseModel):
    message: str
    org_id: str
    name: str


class ProjectNamed(BaseModel):
    name: Name
    description: Description | None = None


class ProjectMade(BaseModel):
    message: str
    project_id: str
    name: str


class ProjectChange(BaseModel):
    """What is not sent stays as it is. An empty text, an empty list or null takes a setting away."""

    model_config = ConfigDict(extra="ignore")

    org_id: str | None = None
    project_id: str | None = None
    name: Name | None = None
    description: Description | None = None
    custom_instructions: Instructions | None = Field(None, description="What to remember of what users say")
    agent_custom_instructions: Instructions | None = Field(None, description="What to remember of what agents say")
    custom_categories: Categories | None = Field(None, description="Instead of the fifteen defaults")
    multilingual: bool | None = Field(None, description="Keep memories in the language they were said in")
    decay: bool | None = Field(None, description="Rank what was not used lately lower, and what was, higher")
    expiration_date: dt.date | None = Field(None, description="For memories added from now on that name none")
    expiration_days: int | None = Field(None, ge=1, le=36_500, description="The same, counted from each memory's day")
    memory_depth: str | None = Field(None, max_length=1000, description="Kept and shown; nothing depends on it")
    usecase_setting: str | None = Field(None, max_length=20_000, description="Kept and shown; nothing depends on it")


class MemberShown(BaseModel):
    user_id: str
    username: str
    email: str
    role: str


class MembersShown(BaseModel):
    members: list[MemberShown]


class MemberNamed(BaseModel):
    email: EmailStr
    role: MemberRole = MemberRole.READER


class MemberEmail(BaseModel):
    email: EmailStr


Shown = dict[str, Any]
PlaceId = UUID
