import uuid

from sqlalchemy import text

from app.core.database.database import Database
from tests.identity.local.conftest import MakeProvider, sign_up


async def test_account_row_is_accepted_by_gotrue(make_provider: MakeProvider, database: Database) -> None:
    answer = await sign_up(await make_provider(quick=False))
    assert answer.user is not None
    async with database.system() as tx:
        row = (
            (
                await tx.execute(
                    text(
                        "select u.*, i.provider_id, i.identity_data, i.provider, i.email as identity_email"
                        " from auth.users u join auth.identities i on i.user_id = u.id where u.id = :id"
                    ),
                    {"id": answer.user.id},
                )
            )
            .mappings()
            .one()
        )
    assert row["instance_id"] == uuid.UUID(int=0)
    assert (row["aud"], row["role"]) == ("authenticated", "authenticated")
    for column in ("confirmation_token", "recovery_token", "email_change_token_new", "email_change"):
        assert row[column] == ""
    assert row["encrypted_password"].startswith("$2a$10$")
    assert row["confirmed_at"] == row["email_confirmed_at"] is not None
    assert row["provider_id"] == answer.user.id
    assert row["provider"] == "email"
    assert row["identity_email"] == answer.user.email
    assert row["identity_data"] == {
        "sub": answer.user.id,
        "email": answer.user.email,
        "email_verified": True,
        "phone_verified": False,
    }
