"""Access to organizations and projects: keys by their scopes, accounts by their role in the one they name."""

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import SecurityScopes

from app.core.errors import Forbidden
from app.identity.caller import Caller, CallerDep, Person, check_scopes
from app.identity.scopes import Scope


async def authorize_keys(required: SecurityScopes, caller: CallerDep) -> Caller:
    """The scopes of an account belong to its current project, not to the project that the route names."""
    return check_scopes(caller, required) if caller.account_id is None else caller


async def refuse_end_users(caller: Person) -> Caller:
    """End users of an application cannot create organizations on its server."""
    if caller.role == "USER":
        raise Forbidden("End users cannot do this. Name a project where you are an owner or a reader in X-Project-Id.")
    return caller


Reader = Annotated[Caller, Security(authorize_keys, scopes=[Scope.PROJECTS_READ])]
Writer = Annotated[Caller, Security(authorize_keys, scopes=[Scope.PROJECTS_WRITE])]
# A key that changes members must be an admin key.
MemberWriter = Annotated[Caller, Security(authorize_keys, scopes=[Scope.ADMIN])]
Developer = Annotated[Caller, Depends(refuse_end_users)]
