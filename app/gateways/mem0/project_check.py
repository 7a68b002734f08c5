"""The caller's own project: its transaction, and that a request which names a project means this one."""

from typing import Protocol
from uuid import UUID

from app.core.errors import BadRequest, NotFound
from app.identity.caller import Caller


class Named(Protocol):
    @property
    def org_id(self) -> str | None: ...
    @property
    def project_id(self) -> str | None: ...


def check_place(caller: Caller, named: Named) -> None:
    """A credential belongs to one project: a request cannot choose another."""
    if named.project_id not in (None, "", str(caller.project_id)):
        raise NotFound("There is no such project here: leave `project_id` out, or send a credential of that project")
    if named.org_id not in (None, "", str(caller.organization_id)):
        raise NotFound("There is no such organization here: leave `org_id` out")


def read_memory_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("The id of a memory is a UUID, such as 550e8400-e29b-41d4-a716-446655440000") from None
