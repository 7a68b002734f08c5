"""A key cannot create a key that is stronger than itself, and cannot touch one."""

import datetime as dt
from typing import Any

import httpx
import pytest

from app.identity.scopes import EVERYTHING
from tests.conftest import MakeKey, SignUp

KEYS = "/v1/api-keys"
NOW = dt.datetime.now(dt.UTC)
SOON, LATER, LATEST = (NOW + dt.timedelta(days=days) for days in (1, 2, 3))
SCOPES = ("keys:write", "keys:read", "memories:read")


async def create(client: httpx.AsyncClient, *scopes: str, expires_at: dt.datetime | None = None) -> dict[str, Any]:
    body = {"name": "app", "scopes": list(scopes), "expires_at": expires_at and expires_at.isoformat()}
    answer = await client.post(KEYS, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def own_id(client: httpx.AsyncClient, expires_at: dt.datetime | None) -> str:
    rows = (await client.get(KEYS)).json()["results"]
    [found] = [row["id"] for row in rows if row["expires_at"] and expires_at == moment(row)]
    return str(found)


def moment(key: dict[str, Any]) -> dt.datetime | None:
    return dt.datetime.fromisoformat(key["expires_at"]) if key["expires_at"] else None


@pytest.mark.parametrize("expires_at", [LATEST.isoformat(), None], ids=["later", "never"])
async def test_key_cannot_create_a_key_that_outlives_it(make_key: MakeKey, expires_at: str | None) -> None:
    weak = (await make_key(expires_at=LATER)).client
    refused = await weak.post(KEYS, json={"name": "x", "expires_at": expires_at})
    assert (refused.status_code, LATER.date().isoformat() in refused.text) == (403, True)
    assert moment(await create(weak, "memories:read", expires_at=SOON)) == SOON


async def test_key_that_a_key_creates_ends_with_it_unless_it_ends_earlier(make_key: MakeKey) -> None:
    weak = (await make_key(expires_at=LATER)).client
    made = await weak.post(KEYS, json={"name": "x"})
    assert (made.status_code, moment(made.json())) == (201, LATER)
    eternal = (await make_key()).client
    assert (await eternal.post(KEYS, json={"name": "x"})).json()["expires_at"] is None


@pytest.mark.parametrize("expires_at", [LATEST.isoformat(), None], ids=["later", "never"])
async def test_key_cannot_extend_its_own_expiry(make_key: MakeKey, expires_at: str | None) -> None:
    weak = (await make_key(expires_at=LATER)).client
    own = f"{KEYS}/{await own_id(weak, LATER)}"
    refused = await weak.patch(own, json={"expires_at": expires_at})
    assert refused.status_code == 403, refused.text
    assert moment((await weak.get(own)).json()) == LATER
    assert (await weak.patch(own, json={"name": "renamed"})).status_code == 200
    assert moment((await weak.patch(own, json={"expires_at": SOON.isoformat()})).json()) == SOON
    assert (await weak.patch(own, json={"expires_at": LATER.isoformat()})).status_code == 403


@pytest.mark.parametrize(
    ("scopes", "expires_at", "status"),
    [
        (SCOPES, LATER, 200),
        (("memories:read",), SOON, 200),
        (("memories:write",), SOON, 403),
        (sorted(EVERYTHING), LATER, 403),
        (SCOPES, LATEST, 403),
        (SCOPES, None, 403),
    ],
)
async def test_key_changes_rotates_and_revokes_only_keys_that_are_not_stronger(
    make_key: MakeKey, scopes: tuple[str, ...], expires_at: dt.datetime | None, status: int
) -> None:
    target = f"{KEYS}/{(await create((await make_key()).client, *scopes, expires_at=expires_at))['id']}"
    weak = (await make_key(*SCOPES, expires_at=LATER)).client
    answers = [
        await weak.patch(target, json={"name": "renamed"}),
        await weak.patch(target, json={"scopes": ["memories:read"], "expires_at": SOON.isoformat()}),
        await weak.post(f"{target}/rotate"),
        await weak.delete(target),
    ]
    assert [answer.status_code for answer in answers] == [status] * 4
    assert [answer.text for answer in answers if status == 403 and "ks_" in answer.text] == []


async def test_owner_changes_any_key(sign_up: SignUp, make_key: MakeKey) -> None:
    owner = await sign_up()
    weak = (await make_key(*SCOPES, project=owner.project_id, expires_at=LATER)).client
    path = f"{KEYS}/{await own_id(weak, LATER)}"
    changed = await owner.client.patch(path, json={"scopes": sorted(EVERYTHING), "expires_at": None})
    assert changed.json()["expires_at"] is None
    assert changed.json()["scopes"] == sorted(EVERYTHING)
    assert (await owner.client.post(f"{path}/rotate")).status_code == 200
    assert (await owner.client.delete(path)).status_code == 200
