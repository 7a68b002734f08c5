"""GoTrue's admin routes, which require the secret key."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.identity.local.admin import generate_link, manage_accounts
from app.identity.local.dependencies import ProviderDep, RedirectTo, RequireSecretKey
from app.identity.local.schemas import AdminUserBody, DeleteBody, LinkBody, factor_json, user_json
from app.identity.local.storage.accounts import AccountRepository

router = APIRouter(prefix="/admin", dependencies=[RequireSecretKey])

AccountId = Annotated[uuid.UUID, Path()]


@router.post("/users")
async def create_user(body: AdminUserBody, provider: ProviderDep) -> dict[str, object]:
    return await manage_accounts.create_account(provider, body)


@router.get("/users")
async def list_users(
    request: Request,
    response: Response,
    provider: ProviderDep,
    page: Annotated[str, Query()] = "",
    per_page: Annotated[str, Query()] = "",
) -> dict[str, object]:
    number, size = _read_number(page, 1, 1_000_000), _read_number(per_page, 50, 1000)
    async with provider.database.system() as tx:
        accounts, total = await AccountRepository(tx).page(number, size)
    last = max(1, -(-total // size))
    response.headers["X-Total-Count"] = str(total)
    response.headers["Link"] = _links(request, number, last, size)
    return {"users": [user_json(account) for account in accounts], "aud": "authenticated"}


def _read_number(text: str, default: int, maximum: int) -> int:
    """Clients send an empty value for the default."""
    return min(maximum, max(1, int(text))) if text.isdecimal() and len(text) < 10 else default


def _links(request: Request, number: int, last: int, size: int) -> str:
    pages = [("next", number + 1)] if number < last else []
    path = request.url.path
    pages.append(("last", last))
    return ", ".join(f'<{path}?page={page}&per_page={size}>; rel="{name}"' for name, page in pages)


@router.get("/users/{account_id}")
async def get_user(account_id: AccountId, provider: ProviderDep) -> dict[str, object]:
    async with provider.database.system() as tx:
        return user_json(await AccountRepository(tx).get(account_id))


@router.put("/users/{account_id}")
async def put_user(account_id: AccountId, body: AdminUserBody, provider: ProviderDep) -> dict[str, object]:
    return await manage_accounts.change_account(provider, account_id, body)


@router.delete("/users/{account_id}")
async def delete_user(
    account_id: AccountId, provider: ProviderDep, body: DeleteBody | None = None
) -> dict[str, object]:
    await manage_accounts.delete_account(provider, account_id, softly=body is not None and body.should_soft_delete)
    return {}


@router.get("/users/{account_id}/factors")
async def list_factors(account_id: AccountId, provider: ProviderDep) -> list[dict[str, object]]:
    async with provider.database.system() as tx:
        return [factor_json(factor) for factor in (await AccountRepository(tx).get(account_id)).factors]


@router.delete("/users/{account_id}/factors/{factor_id}")
async def delete_factor(
    account_id: AccountId, factor_id: Annotated[uuid.UUID, Path()], provider: ProviderDep
) -> dict[str, object]:
    return await manage_accounts.delete_factor(provider, account_id, factor_id)


@router.post("/generate_link")
async def post_generate_link(
    body: LinkBody, provider: ProviderDep, redirect_to: RedirectTo = None
) -> dict[str, object]:
    return await generate_link.generate_link(provider, body, redirect_to)
