import asyncio

import pytest
from sqlalchemy import text
from supabase_auth.errors import AuthApiError
from supabase_auth.types import Session

from app.core.database.database import Database
from tests.identity.local.conftest import PASSWORD, MakeProvider, Provider, new_email, open_session


async def refresh(provider: Provider, token: str) -> Session:
    answer = await provider.client().refresh_session(token)
    assert answer.session is not None
    return answer.session


async def session_id(provider: Provider, session: Session) -> str:
    return str((await provider.identity.tokens.verify(session.access_token)).session_id)


async def expire_grace_period(database: Database, account_id: str) -> None:
    """Simulate the end of the grace period."""
    async with database.system() as tx:
        statement = "update auth.refresh_tokens set updated_at = now() - interval '11 seconds' where user_id = :id"
        await tx.execute(text(statement), {"id": account_id})


async def test_refresh_rotates_the_token_within_the_session(provider: Provider) -> None:
    first = await open_session(provider)
    second = await refresh(provider, first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert await session_id(provider, second) == await session_id(provider, first)
    assert second.user.id == first.user.id


async def test_tables_store_no_usable_refresh_tokens(provider: Provider, database: Database) -> None:
    session = await refresh(provider, (await open_session(provider)).refresh_token)
    async with database.system() as tx:
        query = "select token, parent from auth.refresh_tokens where user_id = :id"
        rows = (await tx.execute(text(query), {"id": session.user.id})).all()
    assert len(rows) == 2
    assert session.refresh_token not in {value for row in rows for value in row}


async def test_refresh_token_used_twice_within_seconds_gets_the_active_one(provider: Provider) -> None:
    first = await open_session(provider)
    second = await refresh(provider, first.refresh_token)
    again = await refresh(provider, first.refresh_token)
    assert again.refresh_token == second.refresh_token


async def test_parent_of_the_active_refresh_token_stays_valid(provider: Provider, database: Database) -> None:
    first = await open_session(provider)
    second = await refresh(provider, first.refresh_token)
    await expire_grace_period(database, first.user.id)
    assert (await refresh(provider, first.refresh_token)).refresh_token == second.refresh_token


async def test_older_refresh_token_ends_the_session(provider: Provider, database: Database) -> None:
    first = await open_session(provider)
    third = await refresh(provider, (await refresh(provider, first.refresh_token)).refresh_token)
    await expire_grace_period(database, first.user.id)
    with pytest.raises(AuthApiError) as refused:
        await refresh(provider, first.refresh_token)
    assert (refused.value.status, refused.value.code) == (400, "refresh_token_already_used")
    with pytest.raises(AuthApiError) as refused:
        await refresh(provider, third.refresh_token)
    assert str(refused.value.code) == "refresh_token_not_found"
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(third.access_token)
    assert refused.value.code == "session_not_found"


async def test_concurrent_refreshes_return_one_token(provider: Provider) -> None:
    first = await open_session(provider)
    answers = await asyncio.gather(*(refresh(provider, first.refresh_token) for _ in range(4)))
    assert len({answer.refresh_token for answer in answers}) == 1


async def test_unknown_missing_and_expired_refresh_tokens_have_different_errors(
    make_provider: MakeProvider, database: Database
) -> None:
    provider = await make_provider(session_seconds=60)
    for token in (b"unknown", b"nul\\u0000"):
        answer = await provider.http.post(
            "/token?grant_type=refresh_token",
            content=b'{"refresh_token": "%b"}' % token,
            headers={"Content-Type": "application/json"},
        )
        assert answer.json()["error_code"] == "refresh_token_not_found", token
    missing = await provider.http.post("/token?grant_type=refresh_token", json={})
    assert missing.json()["error_code"] == "validation_failed"
    session = await open_session(provider)
    async with database.system() as tx:
        ended = text("update auth.sessions set not_after = now() where user_id = :id")
        await tx.execute(ended, {"id": session.user.id})
    with pytest.raises(AuthApiError) as refused:
        await refresh(provider, session.refresh_token)
    assert str(refused.value.code) == "session_expired"
    with pytest.raises(AuthApiError) as refused:
        await provider.client().get_user(session.access_token)
    assert refused.value.code == "session_not_found"


@pytest.mark.parametrize(
    ("scope", "this_lives", "other_lives"), [("local", False, True), ("others", True, False), ("global", False, False)]
)
async def test_sign_out_immediately_ends_the_sessions_of_its_scope(
    provider: Provider, scope: str, this_lives: bool, other_lives: bool
) -> None:
    email = new_email()
    this = await open_session(provider, email)
    other = (await provider.client().sign_in_with_password({"email": email, "password": PASSWORD})).session
    unrelated = await open_session(provider)
    assert other is not None
    await provider.client().admin.sign_out(this.access_token, scope)  # type: ignore[arg-type]
    assert await is_active(provider, this) is this_lives
    assert await is_active(provider, other) is other_lives
    assert await is_active(provider, unrelated)


async def is_active(provider: Provider, session: Session) -> bool:
    try:
        await provider.client().get_user(session.access_token)
        await refresh(provider, session.refresh_token)
    except AuthApiError as error:
        return error.code not in ("session_not_found", "refresh_token_not_found")
    return True


async def test_second_sign_out_and_unknown_scope_are_errors(provider: Provider) -> None:
    session = await open_session(provider)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().admin.sign_out(session.access_token, "everything")  # type: ignore[arg-type]
    assert refused.value.status == 400
    await provider.client().admin.sign_out(session.access_token)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().admin.sign_out(session.access_token)
    assert (refused.value.status, refused.value.code) == (403, "session_not_found")
