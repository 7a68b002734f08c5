"""/v1/auth/mfa: the second factors of the signed-in account, with Supabase or the embedded provider."""

from uuid import UUID

from fastapi import Request

from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.rate_limit import client_address, limit_sign_in
from app.core.resources import ResourcesDep
from app.identity.caller import CredentialDep, SignedInAccount
from app.identity.factor_schemas import (
    FactorChallengeCreate,
    FactorChallengeRead,
    FactorEnroll,
    FactorEnrolled,
    FactorVerify,
)
from app.identity.refresh_cookie import RefreshCookieDep
from app.identity.schemas import AuthSessionRead, FactorRead

router = own_router(prefix="/v1/auth/mfa", tags=["Accounts"])


@router.get("/factors")
async def list_factors(
    request: Request, _: SignedInAccount, credential: CredentialDep, resources: ResourcesDep
) -> list[FactorRead]:
    """Lists the second factors of your account. A factor counts once it is verified."""
    account = await resources.identity.get_account(credential, ip=client_address(request))
    return [FactorRead.model_validate(factor, from_attributes=True) for factor in account.factors]


@router.post("/factors", status_code=201)
@limit_sign_in
async def enroll_factor(
    request: Request,
    _: SignedInAccount,
    credential: CredentialDep,
    resources: ResourcesDep,
    body: FactorEnroll | None = None,
) -> FactorEnrolled:
    """Adds an authenticator app. It counts after the first code that you send to `POST /v1/auth/mfa/verify`."""
    name = (body or FactorEnroll(name="")).name
    made = await resources.identity.factors.enroll(credential, name, ip=client_address(request))
    return FactorEnrolled.model_validate(made, from_attributes=True)


@router.delete("/factors/{factor_id}")
@limit_sign_in
async def unenroll_factor(
    request: Request, factor_id: UUID, _: SignedInAccount, credential: CredentialDep, resources: ResourcesDep
) -> Done:
    """Removes a factor. A verified factor requires a session that confirmed one."""
    await resources.identity.factors.unenroll(credential, factor_id, ip=client_address(request))
    return Done(message="Factor removed")


@router.post("/challenge", status_code=201)
@limit_sign_in
async def challenge_factor(
    request: Request,
    body: FactorChallengeCreate,
    _: SignedInAccount,
    credential: CredentialDep,
    resources: ResourcesDep,
) -> FactorChallengeRead:
    """Begins a verification, which must be finished within five minutes."""
    made = await resources.identity.factors.challenge(credential, body.factor_id, ip=client_address(request))
    return FactorChallengeRead.model_validate(made, from_attributes=True)


@router.post("/verify")
@limit_sign_in
async def verify_factor(
    request: Request,
    body: FactorVerify,
    _: SignedInAccount,
    credential: CredentialDep,
    resources: ResourcesDep,
    cookie: RefreshCookieDep,
) -> AuthSessionRead:
    """Confirms a factor with a code, and returns tokens with which the account can administer its projects.

    The first verification of a factor ends the sessions that have not confirmed one.
    """
    signed_in = await resources.identity.factors.verify(
        credential, body.factor_id, body.challenge_id, body.code.get_secret_value(), ip=client_address(request)
    )
    return cookie.hold(AuthSessionRead.of(signed_in))
