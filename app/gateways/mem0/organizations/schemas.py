"""Organizations, projects and members as mem0's clients send and expect them. Ids are strings."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field, StringConstraints

from app.core.storable_text import no_nul
from app.projects.schemas import Description, MemberRole, Name


def _join_lines(value: object) -> object:
    """mem0's documentation shows instructions both as a text and as a list of texts."""
    return "\n".join(map(str, value)) if isinstance(value, list) else value


def _check_categories(categories: "list[str | dict[str, str]] | None") -> "list[str | dict[str, str]] | None":
    for category in categories or []:
        names = [category] if isinstance(category, str) else list(category)
        if len(names) != 1 or not 0 < len(names[0].strip()) <= 100:
            raise ValueError('each category is a name, or {"name": "what belongs in it"}')
    return categories


Instructions = Annotated[
    str, BeforeValidator(_join_lines), StringConstraints(max_length=20_000), AfterValidator(no_nul)
]
Category = Annotated[str, StringConstraints(max_length=2000), AfterValidator(no_nul)]
Categories = Annotated[
    list[Category | dict[Category, Category]], Field(max_length=200), AfterValidator(_check_categories)
]


class OrganizationInput(BaseModel):
    name: Name


class OrganizationDetails(BaseModel):
    id: str
    org_id: str
    name: str
    personal: bool
    user_role: str | None = Field(description="The caller's role; null for an API key.")
    created_at: dt.datetime


class OrganizationCreated(BaseModel):
    message: str
    org_id: str
    name: str


class ProjectInput(BaseModel):
    name: Name
    description: Description | None = None


class ProjectCreated(BaseModel):
    message: str
    project_id: str
    name: str


class ProjectSettingsPatch(BaseModel):
    """Fields that are not sent keep their value. An empty text, an empty list or null removes a setting. A setting that
    this server does not have is refused, unless the value is the one that it shows."""

    model_config = ConfigDict(extra="allow")

    org_id: str | None = None
    project_id: str | None = None
    name: Name | None = None
    description: Description | None = None
    custom_instructions: Instructions | None = Field(None, description="What to remember from messages of users.")
    agent_custom_instructions: Instructions | None = Field(
        None, description="What to remember from messages of agents."
    )
    custom_categories: Categories | None = Field(None, description="Replace the fifteen default categories.")
    multilingual: bool | None = Field(None, description="Store memories in the language of the messages.")
    decay: bool | None = Field(None, description="Rank memories that were used recently higher, and others lower.")
    expiration_date: dt.date | None = Field(None, description="The expiration date of new memories that have none.")
    expiration_days: int | None = Field(
        None, ge=1, le=36_500, description="The same, in days after the memory is added."
    )
    memory_depth: str | None = Field(None, max_length=1000, description="Stored without effect.")
    usecase_setting: str | None = Field(None, max_length=20_000, description="Stored without effect.")


class MemberDetails(BaseModel):
    user_id: str
    username: str
    email: str
    role: str
    status: Literal["active", "pending"] = Field("active", description="A pending member was invited and has no id.")


class MemberAdded(BaseModel):
    message: str
    status: Literal["pending"] = Field("pending", description="The person becomes a member when they accept.")
    invitation_id: str
    token: str | None = Field(
        description="Shown only once, and only if the server sends no e-mails: pass it on to the invited person."
    )


class MemberList(BaseModel):
    members: list[MemberDetails]


class MemberInput(BaseModel):
    email: EmailStr
    role: MemberRole = MemberRole.READER


class MemberEmail(BaseModel):
    email: EmailStr
