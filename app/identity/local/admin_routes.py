"""GoTrue's routes for whoever holds the secret key."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.identity.local import admin
from app.identity.local.accounts import AccountRepository
from app.identity.local.dependencies import Admin, House, RedirectTo
from app.identity.local.schemas import AdminUserBody, DeleteBody, LinkBody, user_json

router = APIRouter(prefix="/admin", dependencies=[Admin])

AccountId = Annotated[uuid.UUID, Path()]


@router.post("/users")
async def create_user(body: AdminUserBody, house: House) -> dict[str, object]:
    return await admin.create_account(house, body)


@router.get("/users")
async def list_users(
    request: Request,
    response: Response,
    house: House,
    page: Annotated[str, Query()] = "",
    per_page: Annotated[str, Query()] = "",
) -> dict[str, object]:
    number, size = _whole(page, 1, 1_000_000), _whole(per_page, 50, 1000)
    async with house.database.system() as tx:
        accounts, total = await AccountRepository(tx).page(number, size)
    last = max(1, -(-total // size))
    response.headers["X-Total-Count"] = str(total)
    response.headers["Link"] = _links(request, number, last, size)
    return {"users": [user_json(account) for account in accounts], "aud": "authenticated"}


def _whole(text: str, default: int, most: int) -> int:
    """Clients send an empty value where they mean the default."""
    return min(most, max(1, int(text))) if text.isdecimal() and len(text) < 10 else default


def _links(request: Request, number: int, last: int, size: int) -> str:
    pages = [("next", number + 1)] if number < last else []
    path = request.url.path
    named = [*pages, ("last", last)]
    return ", ".join(f'<{path}?page={page}&per_page={size}>; rel="{name}"' for name, page in named)


@router.get("/users/{account_id}")
async def get_user(account_id: AccountId, house: House) -> dict[str, object]:
    async with house.database.system() as tx:
        return user_json(await AccountRepository(tx).get(account_id))


@router.put("/users/{account_id}")
async def put_user(account_id: AccountId, body: AdminUserBody, house: House) -> dict[str, object]:
    return await admin.change_account(house, account_id, body)


@router.delete("/users/{account_id}")
async def delete_user(account_id: AccountId, house: House, body: DeleteBody | None = None) -> dict[str, object]:
    await admin.delete_account(house, account_id, softly=body is not None and body.should_soft_delete)
    return {}


@router.post("/generate_link")
async def post_generate_link(body: LinkBody, house: House, redirect_to: RedirectTo = None) -> dict[str, object]:
    return await admin.generate_link(house, body, redirect_to)
