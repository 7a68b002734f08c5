"""Rows of auth.users and auth.identities, in the exact form that GoTrue accepts."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError
from app.identity.local.storage.tables import identities, one_time_tokens, users

INSTANCE = uuid.UUID(int=0)
"""GoTrue only finds accounts of this instance id."""

Metadata = Mapping[str, object]
EMAIL_PROVIDER: Metadata = {"provider": "email", "providers": ["email"]}

IDENTITIES_COLUMN: ColumnElement[list[dict[str, object]]] = literal_column(
    "(select coalesce(jsonb_agg(to_jsonb(i) order by i.created_at), '[]') from auth.identities i"
    " where i.user_id = auth.users.id)"
)
FACTORS_COLUMN: ColumnElement[list[dict[str, object]]] = literal_column(
    "(select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'friendly_name', f.friendly_name,"
    " 'factor_type', f.factor_type, 'status', f.status, 'created_at', f.created_at, 'updated_at', f.updated_at,"
    " 'last_challenged_at', f.last_challenged_at) order by f.created_at), '[]') from auth.mfa_factors f"
    " where f.user_id = auth.users.id)"
)


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: uuid.UUID
    aud: str
    role: str
    email: str
    """Empty for an anonymous account, which has none."""
    encrypted_password: str | None
    email_confirmed_at: dt.datetime | None
    confirmed_at: dt.datetime | None
    invited_at: dt.datetime | None
    confirmation_sent_at: dt.datetime | None
    recovery_sent_at: dt.datetime | None
    email_change: str | None
    email_change_sent_at: dt.datetime | None
    email_change_confirm_status: int
    reauthentication_sent_at: dt.datetime | None
    last_sign_in_at: dt.datetime | None
    raw_app_meta_data: Metadata
    raw_user_meta_data: Metadata
    created_at: dt.datetime
    updated_at: dt.datetime
    banned_until: dt.datetime | None
    deleted_at: dt.datetime | None
    is_anonymous: bool
    is_sso_user: bool
    identities: list[dict[str, object]]
    factors: list[dict[str, object]]
    """Second factors, without their secrets."""

    @property
    def has_second_factor(self) -> bool:
        return any(factor["status"] == "verified" for factor in self.factors)

    @property
    def is_banned(self) -> bool:
        return self.banned_until is not None and self.banned_until > dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class NewAccount:
    email: str
    encrypted_password: str = ""
    user_metadata: Metadata | None = None
    app_metadata: Metadata | None = None
    confirmed: bool = False
    role: str = "authenticated"
    id: uuid.UUID | None = None


ACCOUNT_COLUMNS = [
    *(users.c[name] for name in AccountRow.__slots__ if name not in ("email", "identities", "factors")),
    func.coalesce(users.c.email, "").label("email"),
    IDENTITIES_COLUMN.label("identities"),
    FACTORS_COLUMN.label("factors"),
]


class AccountRepository:
    def __init__(self, tx: AsyncSession) -> None:
        self.tx = tx

    async def by_id(self, account_id: uuid.UUID) -> AccountRow | None:
        return await self._one(users.c.id == account_id)

    async def by_email(self, email: str) -> AccountRow | None:
        return await self._one(users.c.email == email, users.c.is_sso_user.is_(False))

    async def get(self, account_id: uuid.UUID) -> AccountRow:
        account = await self.by_id(account_id)
        if account is None:
            raise IdentityError(404, "user_not_found", "User not found")
        return account

    async def page(self, number: int, size: int) -> tuple[list[AccountRow], int]:
        ours = users.c.instance_id == INSTANCE
        newest_first = users.c.created_at.desc(), users.c.id
        query = select(*ACCOUNT_COLUMNS).where(ours).order_by(*newest_first).limit(size).offset((number - 1) * size)
        rows = (await self.tx.execute(query)).all()
        total = await self.tx.scalar(select(func.count()).select_from(users).where(ours))
        return [AccountRow(**row._mapping) for row in rows], total or 0

    async def add(self, new: NewAccount) -> AccountRow | None:
        """Return None if the address is taken, also by a concurrent sign-up."""
        account_id = new.id or uuid.uuid4()
        query = upsert(users).values(**_user_values(new, account_id)).on_conflict_do_nothing().returning(users.c.id)
        if await self.tx.scalar(query) is None:
            return None
        await self.tx.execute(insert(identities).values(**_identity_values(new, account_id)))
        return await self.get(account_id)

    async def add_anonymous(self, user_metadata: Metadata) -> AccountRow:
        account_id = uuid.uuid4()
        values = _user_values(NewAccount("", user_metadata=user_metadata), account_id)
        values |= {"email": None, "raw_app_meta_data": {}, "is_anonymous": True}
        await self.tx.execute(insert(users).values(**values))
        return await self.get(account_id)

    async def change(self, account_id: uuid.UUID, **values: object) -> None:
        values["updated_at"] = func.now()
        await self.tx.execute(update(users).where(users.c.id == account_id).values(**values))

    async def confirm(self, account_id: uuid.UUID) -> None:
        confirmed_at = func.coalesce(users.c.email_confirmed_at, func.now())
        await self.change(account_id, email_confirmed_at=confirmed_at, confirmation_token="")
        await self._verify_identity(account_id)

    async def move(self, account_id: uuid.UUID, email: str, *, confirmed: bool) -> None:
        """Change the e-mail address, and invalidate every token that was sent to the old one.

        An anonymous account becomes a permanent one.
        """
        values: dict[str, object] = {"email": email, "email_change": "", "email_change_confirm_status": 0}
        if (await self.get(account_id)).is_anonymous:
            values |= {"is_anonymous": False, "raw_app_meta_data": EMAIL_PROVIDER}
            added = upsert(identities).values(**_identity_values(NewAccount(email), account_id))
            await self.tx.execute(added.on_conflict_do_nothing())
        values |= {"email_change_token_new": "", "email_change_token_current": "", "recovery_token": ""}
        if confirmed:
            values["email_confirmed_at"] = func.coalesce(users.c.email_confirmed_at, func.now())
        try:
            await self.change(account_id, **values)
        except IntegrityError:
            raise email_exists() from None
        changed = {"email": email, "email_verified": confirmed}
        await self._change_identity(account_id, changed)
        await self.tx.execute(delete(one_time_tokens).where(one_time_tokens.c.user_id == account_id))

    async def record_sign_in(self, account: AccountRow) -> bool:
        """Return False if the password changed or the account was banned while the password was being checked."""
        unchanged = (users.c.id == account.id, users.c.encrypted_password == account.encrypted_password)
        free = users.c.banned_until.is_(None) | (users.c.banned_until <= func.now())
        query = update(users).where(*unchanged, free).values(last_sign_in_at=func.now(), updated_at=func.now())
        return await self.tx.scalar(query.returning(users.c.id)) is not None

    async def remove(self, account_id: uuid.UUID) -> None:
        await self.tx.execute(delete(users).where(users.c.id == account_id))

    async def remove_identities(self, account_id: uuid.UUID) -> None:
        await self.tx.execute(delete(identities).where(identities.c.user_id == account_id))

    async def _verify_identity(self, account_id: uuid.UUID) -> None:
        await self._change_identity(account_id, {"email_verified": True})

    async def _change_identity(self, account_id: uuid.UUID, changed: Metadata) -> None:
        query = update(identities).where(identities.c.user_id == account_id, identities.c.provider == "email")
        merged = identities.c.identity_data.op("||")(changed)
        await self.tx.execute(query.values(identity_data=merged, updated_at=func.now()))

    async def _one(self, *conditions: object) -> AccountRow | None:
        query = select(*ACCOUNT_COLUMNS).where(users.c.instance_id == INSTANCE, *conditions)  # type: ignore[arg-type]
        row = (await self.tx.execute(query)).first()
        return None if row is None else AccountRow(**row._mapping)


def email_exists() -> IdentityError:
    return IdentityError(422, "email_exists", "A user with this email address has already been registered")


def _user_values(new: NewAccount, account_id: uuid.UUID) -> dict[str, object]:
    return {
        "instance_id": INSTANCE,
        "id": account_id,
        "aud": "authenticated",
        "role": new.role,
        "email": new.email,
        "encrypted_password": new.encrypted_password,
        "email_confirmed_at": func.now() if new.confirmed else None,
        "raw_app_meta_data": {**EMAIL_PROVIDER, **(new.app_metadata or {})},
        "raw_user_meta_data": new.user_metadata or {},
        "created_at": func.now(),
        "updated_at": func.now(),
    }


def _identity_values(new: NewAccount, account_id: uuid.UUID) -> dict[str, object]:
    return {
        "id": uuid.uuid4(),
        "provider_id": str(account_id),
        "user_id": account_id,
        "identity_data": _identity_data(new, account_id),
        "provider": "email",
        "last_sign_in_at": func.now(),
        "created_at": func.now(),
        "updated_at": func.now(),
    }


def _identity_data(new: NewAccount, account_id: uuid.UUID) -> Metadata:
    verified = {"email_verified": new.confirmed, "phone_verified": False}
    return {"sub": str(account_id), "email": new.email, **verified}
