import datetime as dt
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, EmailStr, Field, model_validator

from app.core.http.strict_requests import RequestBody
from app.projects.schemas import ProjectRole


class InvitationStatus(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class InvitationCreate(RequestBody):
    email: EmailStr
    role: ProjectRole = Field(ProjectRole.READER, description="`USER` is a role of projects only.")
    organization_id: UUID | None = None
    project_id: UUID | None = Field(None, description="Defaults to your current project.")

    @model_validator(mode="after")
    def check_one_target(self) -> Self:
        if self.organization_id and self.project_id:
            raise ValueError("name either `organization_id` or `project_id`")
        if self.organization_id and self.role is ProjectRole.USER:
            raise ValueError("the role `USER` needs a `project_id`: organizations have owners and readers")
        return self


class InvitationRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str
    role: ProjectRole
    organization_id: UUID | None
    project_id: UUID | None
    status: InvitationStatus
    invited_by: str | None = Field(
        description="The address of the account that sent it; null for a key of the operator."
    )
    created_at: dt.datetime
    expires_at: dt.datetime
    ended_at: dt.datetime | None = Field(description="When it was accepted, declined or withdrawn.")


class InvitationCreated(InvitationRead):
    token: str | None = Field(
        description="Shown only once, and only if the server sends no e-mails: pass it on to the invited person."
    )


class ReceivedInvitation(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    role: ProjectRole
    organization_id: UUID | None = Field(description="Null if the invitation is to a project.")
    project_id: UUID | None = Field(description="Null if the invitation is to an organization.")
    name: str | None = Field(description="The name of the project or organization; null if `token_required`.")
    invited_by: str | None = Field(description="The address of the sender; null if `token_required`.")
    token_required: bool = Field(
        description="Whether accepting needs the token, because your e-mail address is not confirmed."
    )
    created_at: dt.datetime
    expires_at: dt.datetime


class InvitationAnswer(RequestBody):
    token: str | None = Field(
        None, max_length=200, description="The token of the invitation. Needed unless your address is confirmed."
    )


class InvitationAccepted(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    organization_id: UUID | None
    project_id: UUID | None
    role: ProjectRole
