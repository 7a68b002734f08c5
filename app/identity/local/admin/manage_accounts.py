"""Create, change and delete accounts with the secret key."""

import datetime as dt
import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import invalid
from app.identity.local.flows.factors import remove_factor
from app.identity.local.provider import IdentityProvider
from app.identity.local.schemas import AdminUserBody, merge_metadata, read_duration, read_email, user_json
from app.identity.local.security.passwords import check_rules, importable
from app.identity.local.storage.accounts import AccountRepository, AccountRow, NewAccount, email_exists
from app.identity.local.storage.factors import FactorRepository

ROLE = re.compile(r"[a-z_]{1,64}")


async def create_account(provider: IdentityProvider, body: AdminUserBody) -> dict[str, object]:
    new = NewAccount(
        email=read_email(body.email),
        encrypted_password=await _password_hash(provider, body) or await hash_unknown_password(provider),
        user_metadata=merge_metadata({}, body.user_metadata or {}),
        app_metadata=merge_metadata({}, body.app_metadata or {}),
        confirmed=bool(body.email_confirm),
        role=_role(body) or "authenticated",
        id=_read_id(body),
    )
    async with provider.database.system() as tx:
        account = await AccountRepository(tx).add(new)
        if account is None:
            raise email_exists()
        await _ban(provider, tx, account.id, body.ban_duration)
        return user_json(await AccountRepository(tx).get(account.id))


async def change_account(provider: IdentityProvider, account_id: uuid.UUID, body: AdminUserBody) -> dict[str, object]:
    email = read_email(body.email) if body.email else None
    role, password_hash = _role(body), await _password_hash(provider, body)
    async with provider.database.system() as tx:
        accounts = AccountRepository(tx)
        account = await accounts.get(account_id)
        if email is not None and email != account.email:
            await _move(accounts, account, email, confirmed=bool(body.email_confirm))
        if body.email_confirm:
            await accounts.confirm(account_id)
        await accounts.change(account_id, **_changes(account, body, role, password_hash))
        if password_hash is not None:
            await provider.sessions(tx).end(account_id, "global", None)
        await _ban(provider, tx, account_id, body.ban_duration)
        return user_json(await accounts.get(account_id))


async def _move(accounts: AccountRepository, account: AccountRow, email: str, *, confirmed: bool) -> None:
    if await accounts.by_email(email) is not None:
        raise email_exists()
    await accounts.move(account.id, email, confirmed=confirmed or account.email_confirmed_at is not None)


def _changes(
    account: AccountRow, body: AdminUserBody, role: str | None, password_hash: str | None
) -> Mapping[str, object]:
    changes: dict[str, object | None] = {"role": role, "encrypted_password": password_hash}
    if body.user_metadata is not None:
        changes["raw_user_meta_data"] = merge_metadata(account.raw_user_meta_data, body.user_metadata)
    if body.app_metadata is not None:
        changes["raw_app_meta_data"] = merge_metadata(account.raw_app_meta_data, body.app_metadata)
    return {name: value for name, value in changes.items() if value is not None}


async def delete_account(provider: IdentityProvider, account_id: uuid.UUID, *, softly: bool) -> None:
    async with provider.database.system() as tx:
        accounts = AccountRepository(tx)
        account = await accounts.get(account_id)
        if not softly:
            await accounts.remove(account_id)
        elif account.deleted_at is None:
            await _anonymize(provider, tx, account)


async def _anonymize(provider: IdentityProvider, tx: AsyncSession, account: AccountRow) -> None:
    """Erase everything personal, but keep the id for rows that refer to it."""
    accounts = AccountRepository(tx)
    placeholder = hashlib.sha256(account.id.bytes + account.email.encode()).hexdigest()
    emptied: dict[str, object] = {"raw_user_meta_data": {}, "raw_app_meta_data": {}, "encrypted_password": ""}
    await accounts.move(account.id, placeholder, confirmed=False)
    await accounts.change(account.id, **emptied, deleted_at=dt.datetime.now(dt.UTC))
    await accounts.remove_identities(account.id)
    await FactorRepository(tx, account.id).remove_all()
    await provider.sign_in_history(tx).forget(account.id)
    await provider.sessions(tx).end(account.id, "global", None)


async def delete_factor(provider: IdentityProvider, account_id: uuid.UUID, factor_id: uuid.UUID) -> dict[str, object]:
    """For a person who lost a factor."""
    async with provider.database.system() as tx:
        await AccountRepository(tx).get(account_id)
        factor = await FactorRepository(tx, account_id).get(factor_id)
        await remove_factor(provider, tx, factor)
    return {"id": str(factor_id)}


async def _ban(provider: IdentityProvider, tx: AsyncSession, account_id: uuid.UUID, duration: str | None) -> None:
    """A ban ends all sessions, because each request checks the session of its token but not the ban."""
    if not duration:
        return
    length = read_duration(duration)
    until = None if length is None else dt.datetime.now(dt.UTC) + length
    await AccountRepository(tx).change(account_id, banned_until=until)
    if until is not None:
        await provider.sessions(tx).end(account_id, "global", None)


async def _password_hash(provider: IdentityProvider, body: AdminUserBody) -> str | None:
    if body.password_hash:
        if not importable(body.password_hash):
            raise invalid("The password hash must be bcrypt of at most cost 14")
        return body.password_hash
    if not body.password:
        return None
    check_rules(body.password, provider.settings.passwords)
    return await provider.hasher.hash(body.password)


async def hash_unknown_password(provider: IdentityProvider) -> str:
    return await provider.hasher.hash(secrets.token_urlsafe(48))


def _role(body: AdminUserBody) -> str | None:
    if body.role and ROLE.fullmatch(body.role) is None:
        raise invalid("Invalid value for role")
    return body.role or None


def _read_id(body: AdminUserBody) -> uuid.UUID | None:
    try:
        return uuid.UUID(body.id) if body.id else None
    except ValueError:
        raise invalid("ID must conform to the uuid v4 format") from None
