"""After a move to Supabase: are the accounts there, and does Supabase accept the tokens of the former server?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import httpx
from sqlalchemy import text

from app.core.counts import count_of
from app.core.database.database import Database

TIMEOUT_SECONDS = 5
COUNT_ACCOUNTS_SQL = text("select * from private.count_moved_accounts()")


@dataclass(frozen=True, slots=True)
class MoveFinding:
    is_ok: bool
    sentence: str


async def check_accounts(database: Database) -> Sequence[MoveFinding]:
    async with database.system() as tx:
        found = (await tx.execute(COUNT_ACCOUNTS_SQL)).one()
    findings = [
        MoveFinding(
            found.accounts > 0, f"{count_of(found.accounts, 'account')}, {found.with_password} of them with a password"
        )
    ]
    problems = {
        "with a password hash that is not bcrypt, so that Supabase may refuse the password": found.not_bcrypt,
        "without a row in auth.identities, which cannot sign in": found.without_identity,
        "with columns in auth.users that Supabase cannot read, which it does not find": found.invisible,
    }
    return findings + [
        MoveFinding(False, f"{count_of(count, 'account')} {what}") for what, count in problems.items() if count
    ]


def check_former_issuer(former_issuer: str | None, kids: Collection[str]) -> MoveFinding:
    if not kids:
        return MoveFinding(
            False, "DATA_DIR/identity has no signing key of the former server, so this server refuses its access tokens"
        )
    if not former_issuer:
        return MoveFinding(False, "FORMER_ISSUER is not set, so this server refuses access tokens of the former server")
    return MoveFinding(True, f"this server accepts access tokens of {former_issuer}")


async def check_imported_key(url: str, kids: Collection[str], http: httpx.AsyncClient) -> MoveFinding:
    try:
        response = await http.get(f"{url}/auth/v1/.well-known/jwks.json", timeout=TIMEOUT_SECONDS)
        keys = response.raise_for_status().json()["keys"]
        listed = {key.get("kid") for key in keys}
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return MoveFinding(False, "Supabase does not respond with its list of keys. Check SUPABASE_URL")
    if listed.isdisjoint(kids):
        return MoveFinding(
            False,
            "Supabase does not list the signing key of the former server. With its access tokens, /v1/auth/me and"
            " /v1/auth/logout answer 401. Import the key as a standby key",
        )
    return MoveFinding(True, "Supabase lists the signing key of the former server")
