import datetime as dt
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, StringConstraints

from app.core.text import no_nul

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(no_nul)]
Description = Annotated[str, StringConstraints(max_length=2000), AfterValidator(no_nul)]


class MemberRole(StrEnum):
    OWNER = "OWNER"
    READER = "READER"


class ProjectRole(StrEnum):
    OWNER = "OWNER"
    READER = "READER"
    USER = "USER"


class ProjectCreate(BaseModel):
    name: Name
    description: Description | None = None
    organization_id: UUID | None = None


class ProjectPatch(BaseModel):
    name: Name | None = None
    description: Description | None = None


class ProjectRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    organization_id: UUID
    name: str
    description: str | None
    role: str | None = None
    created_at: dt.datetime
    updated_at: dt.datetime


class OrganizationRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    personal: bool
    role: str
    created_at: dt.datetime


class OrganizationCreate(BaseModel):
    name: Name


class MemberRead(BaseModel):
    account_id: UUID
    email: str
    role: str
    created_at: dt.datetime


class OrganizationMemberAdd(BaseModel):
    email: EmailStr
    role: MemberRole = MemberRole.READER


class ProjectMemberAdd(BaseModel):
    email: EmailStr
    role: ProjectRole = ProjectRole.READER


class MemberChange(BaseModel):
    role: MemberRole


class ProjectMemberChange(BaseModel):
    role: ProjectRole
