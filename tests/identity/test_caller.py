"""How a token becomes a caller."""

import time

import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text

from app.core.resources import Resources
from app.identity.local.security.keys import load_or_create_keys
from app.settings import Settings
from tests.conftest import SignedUp, SignUp, open_client

SELECT_SESSION_SQL = text("select id from auth.sessions where user_id = :account")


@pytest_asyncio.fixture
async def other(sign_up: SignUp) -> SignedUp:
    return await sign_up()


async def sign_token(settings: Settings, resources: Resources, subject: SignedUp, session_of: SignedUp) -> str:
    """A token with a valid signature for the subject, in the live session of an account."""
    async with resources.database.system() as tx:
        session = await tx.scalar(SELECT_SESSION_SQL, {"account": session_of.account_id})
    now = int(time.time())
    claims: dict[str, object] = {"sub": str(subject.account_id), "session_id": str(session), "email": subject.email}
    claims |= {"iat": now, "exp": now + 3600, "aud": "authenticated", "role": "authenticated"}
    keys = load_or_create_keys(settings.data_dir / "identity")
    return keys.sign({**claims, "iss": f"{settings.base_url}/auth/v1"})


async def test_token_needs_a_session_of_its_own_account(
    app: FastAPI, settings: Settings, resources: Resources, owner: SignedUp, other: SignedUp
) -> None:
    for session_of, expected in ((owner, 200), (other, 401)):
        async with open_client(app, await sign_token(settings, resources, owner, session_of)) as client:
            assert (await client.get("/v1/ping/")).status_code == expected, expected
