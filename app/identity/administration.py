"""What an account administers: its project's keys, members, settings, webhooks and retention, its organizations, and
itself.

A password alone does not suffice for an account that has a second factor. A stolen password would otherwise become a
key or a second owner, which stay after the password is changed.
"""

from fastapi import Depends, Request

from app.core.errors import Forbidden
from app.core.ports import TokenClaims
from app.core.resources import Resources, ResourcesDep
from app.identity.caller import CallerDep, SignedInAccount, read_credential

SELECT_SECOND_FACTOR_SQL = "select private.has_second_factor(:account) as enrolled"
SECOND_FACTOR_REQUIRED = (
    "This account has a second factor, and this session has not confirmed it. Send a code of your authenticator app to"
    " POST /v1/auth/mfa/verify, and repeat the request with the new access token."
)
ANONYMOUS_ACCOUNT = (
    "Anonymous accounts cannot administer anything. Add an e-mail address and a password to the account, refresh the"
    " session and repeat the request."
)


async def require_administrator(request: Request, caller: CallerDep, resources: ResourcesDep) -> None:
    """API keys pass: they have scopes instead."""
    if caller.account_id is None:
        return
    claims = await resources.tokens.verify(read_credential(request))
    if claims.is_anonymous and not resources.config.anonymous_administration:
        raise Forbidden(ANONYMOUS_ACCOUNT, code="anonymous_account")
    await require_second_factor(resources, claims)


async def require_confirmed_caller(request: Request, caller: CallerDep, resources: ResourcesDep) -> None:
    """API keys pass: they have scopes instead."""
    if caller.account_id is not None:
        await require_second_factor(resources, await resources.tokens.verify(read_credential(request)))


async def require_confirmed_person(claims: SignedInAccount, resources: ResourcesDep) -> None:
    await require_second_factor(resources, claims)


async def require_second_factor(resources: Resources, claims: TokenClaims) -> None:
    """The token says what its session has confirmed, but not what its account has, which costs a round trip."""
    if claims.assurance != "aal1" or not resources.config.second_factor_required:
        return
    row = await resources.database.call_private(SELECT_SECOND_FACTOR_SQL, {"account": claims.subject})
    if row is not None and row.enrolled:
        raise Forbidden(SECOND_FACTOR_REQUIRED, code="second_factor_required")


Administrative = Depends(require_administrator)
"""For routes that administer a project or an organization."""
AdministersAccount = Depends(require_confirmed_person)
"""For routes that end an account. Anonymous people may end theirs."""
ErasesUser = Depends(require_confirmed_caller)
"""For routes that erase a user. Anonymous people may erase what is stored about them."""
