"""GoTrue's routes for second factors."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Path

from app.identity.local.dependencies import CurrentAccount, OriginDep, ProviderDep
from app.identity.local.flows import factors
from app.identity.local.schemas import EnrollBody, VerifyFactorBody

router = APIRouter(prefix="/factors")

FactorId = Annotated[uuid.UUID, Path()]


@router.post("")
async def post_factor(body: EnrollBody, current: CurrentAccount, provider: ProviderDep) -> dict[str, object]:
    return await factors.enroll(provider, current, body)


@router.post("/{factor_id}/challenge")
async def post_challenge(
    factor_id: FactorId, current: CurrentAccount, provider: ProviderDep, origin: OriginDep
) -> dict[str, object]:
    return await factors.challenge(provider, current, factor_id, origin)


@router.post("/{factor_id}/verify")
async def post_verify_factor(
    factor_id: FactorId, body: VerifyFactorBody, current: CurrentAccount, provider: ProviderDep, origin: OriginDep
) -> dict[str, object]:
    return await factors.verify_factor(provider, current, factor_id, body, origin)


@router.delete("/{factor_id}")
async def delete_factor(factor_id: FactorId, current: CurrentAccount, provider: ProviderDep) -> dict[str, object]:
    return await factors.unenroll(provider, current, factor_id)
