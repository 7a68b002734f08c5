"""Requests may name a project and an organization; they must be the credential's own."""

from typing import Protocol
from uuid import UUID

from app.core.errors import BadRequest, NotFound
from app.identity.caller import Caller


class NamesProject(Protocol):
    @property
    def org_id(self) -> str | None: ...
    @property
    def project_id(self) -> str | None: ...


def check_project_matches(caller: Caller, request: NamesProject) -> None:
    """A credential belongs to one project, and a request cannot choose another one."""
    if request.project_id not in (None, "", str(caller.project_id)):
        raise NotFound("No such project. Omit `project_id`, or use a credential of that project")
    if request.org_id not in (None, "", str(caller.organization_id)):
        raise NotFound("No such organization. Omit `org_id`")


def parse_uuid(text: str, noun: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest(f"The id of {noun} is a UUID, such as 550e8400-e29b-41d4-a716-446655440000") from None


def parse_memory_id(text: str) -> UUID:
    return parse_uuid(text, "a memory")
