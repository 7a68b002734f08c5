"""What the holder of the secret key may do with anybody's account."""

import datetime as dt
import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.accounts import Account, AccountRepository, NewAccount, email_exists
from app.identity.local.errors import IdentityError, invalid
from app.identity.local.one_time import OneTimeToken, TokenType
from app.identity.local.passwords import check_rules, importable
from app.identity.local.provider import LocalIdentity
from app.identity.local.redirects import action_link, choose_redirect
from app.identity.local.schemas import AdminUserBody, LinkBody, merge_metadata, read_duration, read_email, user_json

ROLE = re.compile(r"[a-z_]{1,64}")


async def create_account(house: LocalIdentity, body: AdminUserBody) -> dict[str, object]:
    new = NewAccount(
        email=read_email(body.email),
        encrypted_password=await _password_hash(house, body) or await _unknown_password(house),
        user_metadata=merge_metadata({}, body.user_metadata or {}),
        app_metadata=merge_metadata({}, body.app_metadata or {}),
        confirmed=bool(body.email_confirm),
        role=_role(body) or "authenticated",
        id=_wanted_id(body),
    )
    async with house.database.system() as tx:
        account = await AccountRepository(tx).add(new)
        if account is None:
            raise email_exists()
        await _ban(house, tx, account.id, body.ban_duration)
        return user_json(await AccountRepository(tx).get(account.id))


async def change_account(house: LocalIdentity, account_id: uuid.UUID, body: AdminUserBody) -> dict[str, object]:
    email = read_email(body.email) if body.email else None
    role, password_hash = _role(body), await _password_hash(house, body)
    async with house.database.system() as tx:
        accounts = AccountRepository(tx)
        account = await accounts.get(account_id)
        if email is not None and email != account.email:
            await _move(accounts, account, email, confirmed=bool(body.email_confirm))
        if body.email_confirm:
            await accounts.confirm(account_id)
        await accounts.change(account_id, **_changes(account, body, role, password_hash))
        if password_hash is not None:
            await house.sessions(tx).end(account_id, "global", None)
        await _ban(house, tx, account_id, body.ban_duration)
        return user_json(await accounts.get(account_id))


async def _move(accounts: AccountRepository, account: Account, email: str, *, confirmed: bool) -> None:
    if await accounts.by_email(email) is not None:
        raise email_exists()
    await accounts.move(account.id, email, confirmed=confirmed or account.email_confirmed_at is not None)


def _changes(
    account: Account, body: AdminUserBody, role: str | None, password_hash: str | None
) -> Mapping[str, object]:
    changes: dict[str, object | None] = {"role": role, "encrypted_password": password_hash}
    if body.user_metadata is not None:
        changes["raw_user_meta_data"] = merge_metadata(account.raw_user_meta_data, body.user_metadata)
    if body.app_metadata is not None:
        changes["raw_app_meta_data"] = merge_metadata(account.raw_app_meta_data, body.app_metadata)
    return {name: value for name, value in changes.items() if value is not None}


async def delete_account(house: LocalIdentity, account_id: uuid.UUID, *, softly: bool) -> None:
    async with house.database.system() as tx:
        accounts = AccountRepository(tx)
        account = await accounts.get(account_id)
        if not softly:
            await accounts.remove(account_id)
        elif account.deleted_at is None:
            await _hollow_out(house, tx, account)


async def _hollow_out(house: LocalIdentity, tx: AsyncSession, account: Account) -> None:
    """Nothing that says who it was stays, but the id does, for what refers to it."""
    accounts = AccountRepository(tx)
    nobody = hashlib.sha256(account.id.bytes + account.email.encode()).hexdigest()
    emptied: dict[str, object] = {"raw_user_meta_data": {}, "raw_app_meta_data": {}, "encrypted_password": ""}
    await accounts.move(account.id, nobody, confirmed=False)
    await accounts.change(account.id, **emptied, deleted_at=dt.datetime.now(dt.UTC))
    await accounts.remove_identities(account.id)
    await house.sessions(tx).end(account.id, "global", None)


async def _ban(house: LocalIdentity, tx: AsyncSession, account_id: uuid.UUID, duration: str | None) -> None:
    """Acts at once: tokens are verified without asking about bans, but not without asking for the session."""
    if not duration:
        return
    length = read_duration(duration)
    until = None if length is None else dt.datetime.now(dt.UTC) + length
    await AccountRepository(tx).change(account_id, banned_until=until)
    if until is not None:
        await house.sessions(tx).end(account_id, "global", None)


async def _password_hash(house: LocalIdentity, body: AdminUserBody) -> str | None:
    if body.password_hash:
        if not importable(body.password_hash):
            raise invalid("The password hash must be bcrypt of at most cost 14")
        return body.password_hash
    if not body.password:
        return None
    check_rules(body.password, house.settings.passwords)
    return await house.hasher.hash(body.password)


async def _unknown_password(house: LocalIdentity) -> str:
    return await house.hasher.hash(secrets.token_urlsafe(48))


def _role(body: AdminUserBody) -> str | None:
    if body.role and ROLE.fullmatch(body.role) is None:
        raise invalid("Invalid value for role")
    return body.role or None


def _wanted_id(body: AdminUserBody) -> uuid.UUID | None:
    try:
        return uuid.UUID(body.id) if body.id else None
    except ValueError:
        raise invalid("ID must conform to the uuid v4 format") from None


async def generate_link(house: LocalIdentity, body: LinkBody, redirect_to: str | None) -> dict[str, object]:
    """Make what a mail would have carried, and send nothing."""
    email = read_email(body.email)
    new_email = read_email(body.new_email) if body.type.startswith("email_change") else None
    new = await _invited(house, body, email)
    async with house.database.system() as tx:
        account, kind = await _addressee(AccountRepository(tx), body, new)
        token = await _issue(house, tx, account, kind, new_email)
        account = await AccountRepository(tx).get(account.id)
    return _link_json(house, account, kind, token, choose_redirect(house.settings, redirect_to))


async def _invited(house: LocalIdentity, body: LinkBody, email: str) -> NewAccount | None:
    """The account made on the way, where the kind of link makes one."""
    if body.type not in ("signup", "invite", "magiclink"):
        return None
    if body.password:
        check_rules(body.password, house.settings.passwords)
    password_hash = await (house.hasher.hash(body.password) if body.password else _unknown_password(house))
    return NewAccount(email, password_hash, merge_metadata({}, body.data or {}))


async def _addressee(accounts: AccountRepository, body: LinkBody, new: NewAccount | None) -> tuple[Account, str]:
    account = await accounts.by_email(read_email(body.email))
    if account is not None:
        if body.type in ("signup", "invite") and account.email_confirmed_at is not None:
            raise email_exists()
        return account, body.type
    added = None if new is None else await accounts.add(new)
    if added is None:
        raise IdentityError(404, "user_not_found", "User with this email not found")
    return added, "signup" if body.type == "magiclink" else body.type


async def _issue(
    house: LocalIdentity, tx: AsyncSession, account: Account, kind: str, new_email: str | None
) -> OneTimeToken:
    accounts, one_time = AccountRepository(tx), house.one_time(tx)
    if kind == "invite":
        await accounts.change(account.id, invited_at=dt.datetime.now(dt.UTC))
    if kind in ("signup", "invite"):
        return await one_time.issue(account.id, account.email, TokenType.CONFIRMATION)
    if new_email is None:
        return await one_time.issue(account.id, account.email, TokenType.RECOVERY)
    if await accounts.by_email(new_email) is not None:
        raise email_exists()
    await accounts.change(account.id, email_change=new_email, email_change_confirm_status=0)
    if kind == "email_change_new":
        return await one_time.issue(account.id, new_email, TokenType.EMAIL_NEW)
    return await one_time.issue(account.id, account.email, TokenType.EMAIL_CURRENT)


def _link_json(
    house: LocalIdentity, account: Account, kind: str, token: OneTimeToken, redirect: str
) -> dict[str, object]:
    link_kind = "email_change" if kind.startswith("email_change") else kind
    return {
        **user_json(account),
        "action_link": action_link(house.settings, token.token_hash, link_kind, redirect),
        "email_otp": token.code,
        "hashed_token": token.token_hash,
        "verification_type": kind,
        "redirect_to": redirect,
    }
