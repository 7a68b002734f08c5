"""Who may ask about organizations and projects: keys by their scopes, people by their role in the place they name."""

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import SecurityScopes

from app.core.errors import Forbidden
from app.identity.caller import Caller, CallerDep, Person, check_scopes
from app.identity.scopes import Scope


async def authorize_keys(required: SecurityScopes, caller: CallerDep) -> Caller:
    """A person's scopes are those of the project they work in now, which may be another than the one they change."""
    return check_scopes(caller, required) if caller.account_id is None else caller


async def only_developers(caller: Person) -> Caller:
    """Where many people share one application, its end users do not get a house of their own on top."""
    if caller.role == "USER":
        raise Forbidden("You work here as an end user: name a project that you develop in X-Project-Id")
    return caller


Reader = Annotated[Caller, Security(authorize_keys, scopes=[Scope.PROJECTS_READ])]
Writer = Annotated[Caller, Security(authorize_keys, scopes=[Scope.PROJECTS_WRITE])]
# Whoever adds an owner gives away everything: a key that does so must be allowed everything.
MemberWriter = Annotated[Caller, Security(authorize_keys, scopes=[Scope.ADMIN])]
Developer = Annotated[Caller, Depends(only_developers)]
