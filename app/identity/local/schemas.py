"""Request and response bodies of GoTrue's routes."""

import datetime as dt
import json
import math
import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

from app.identity.local.errors import IdentityError, invalid
from app.identity.local.storage.accounts import AccountRow

MAX_EMAIL_LENGTH = 254
MAX_METADATA_BYTES = 8_192
"""Metadata is part of every access token, and so of a header of every request."""
MAX_METADATA_DEPTH = 32
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{LABEL}(?:\.{LABEL})*")


def read_email(email: str | None) -> str:
    """Return the address in lower case, as GoTrue stores it, or raise GoTrue's error."""
    if not email:
        raise invalid("An email address is required")
    if len(email) > MAX_EMAIL_LENGTH or EMAIL.fullmatch(email) is None:
        raise invalid("Unable to validate email address: invalid format")
    return email.lower()


def _storable(value: dict[str, object] | None) -> dict[str, object] | None:
    """Refuse NUL, lone surrogates and infinite numbers, which Postgres cannot store in JSON."""
    level: list[object] = [value]
    for _ in range(MAX_METADATA_DEPTH):
        level = [part for item in level for part in _parts(item)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _parts(item: object) -> list[object]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, list):
        return item
    if isinstance(item, str) and ("\0" in item or _has_lone_surrogates(item)):
        raise ValueError("not text")
    if isinstance(item, float) and not math.isfinite(item):
        raise ValueError("not a number")
    return []


def _has_lone_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _storable_text(text: str) -> str:
    if "\0" in text or _has_lone_surrogates(text):
        raise ValueError("not text")
    return text


def _null_is_empty(value: object) -> object:
    return "" if value is None else value


Metadata = Annotated[dict[str, object] | None, AfterValidator(_storable)]
Text = Annotated[str, StringConstraints(max_length=1024)]
Name = Annotated[
    str, StringConstraints(max_length=256), BeforeValidator(_null_is_empty), AfterValidator(_storable_text)
]


class Body(BaseModel):
    """Ignores unknown fields, as GoTrue does: clients send fields for captchas."""

    model_config = ConfigDict(extra="ignore")


class ChallengeBody(Body):
    """With a challenge, a link leads to a code, which only the client that knows the verifier can exchange."""

    code_challenge: Text | None = None
    code_challenge_method: Text | None = None


class SignUpBody(ChallengeBody):
    email: Text = ""
    phone: Text = ""
    password: Text | None = None
    data: Metadata = None


class TokenBody(Body):
    email: Text | None = None
    phone: Text | None = None
    password: Text = ""
    refresh_token: Text | None = None
    auth_code: Text = ""
    code_verifier: Text = ""


class EmailBody(ChallengeBody):
    email: Text = ""


class OtpBody(EmailBody):
    phone: Text = ""
    data: Metadata = None
    create_user: bool = True


class ResendBody(EmailBody):
    type: Text = ""


class VerifyBody(Body):
    type: Text = ""
    token: Text | None = None
    token_hash: Text | None = None
    email: Text | None = None


class UserBody(ChallengeBody):
    email: Text | None = None
    phone: Text | None = None
    password: Text | None = None
    data: Metadata = None
    app_metadata: Metadata = None
    nonce: Text | None = None
    current_password: Text | None = None


class EnrollBody(Body):
    factor_type: Text = ""
    friendly_name: Name = ""
    issuer: Name = ""


class VerifyFactorBody(Body):
    challenge_id: uuid.UUID
    code: Text = ""


class AdminUserBody(Body):
    id: Text | None = None
    email: Text | None = None
    password: Text | None = None
    password_hash: Text | None = None
    email_confirm: bool | None = None
    user_metadata: Metadata = None
    app_metadata: Metadata = None
    role: Text | None = None
    ban_duration: Text | None = None


class InviteBody(Body):
    email: Text = ""
    data: Metadata = None


class DeleteBody(Body):
    should_soft_delete: bool = False


LinkType = Literal["signup", "invite", "magiclink", "recovery", "email_change_current", "email_change_new"]


class LinkBody(Body):
    type: LinkType
    email: Text = ""
    new_email: Text | None = None
    password: Text | None = None
    data: Metadata = None


def merge_metadata(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """A null value removes the key. Any other value replaces it."""
    merged = {key: value for key, value in {**old, **new}.items() if value is not None}
    if len(json.dumps(merged)) > MAX_METADATA_BYTES:
        raise invalid(f"Metadata cannot be larger than {MAX_METADATA_BYTES} bytes")
    return merged


def user_json(account: AccountRow) -> dict[str, object]:
    """A user in GoTrue's format: times in RFC 3339, and no null values."""
    fields: dict[str, object | None] = {
        "id": str(account.id),
        "aud": account.aud,
        "role": account.role,
        "email": account.email,
        "email_confirmed_at": _time(account.email_confirmed_at),
        "phone": "",
        "confirmation_sent_at": _time(account.confirmation_sent_at),
        "confirmed_at": _time(account.confirmed_at),
        "recovery_sent_at": _time(account.recovery_sent_at),
        "new_email": account.email_change or None,
        "email_change_sent_at": _time(account.email_change_sent_at),
        "invited_at": _time(account.invited_at),
        "reauthentication_sent_at": _time(account.reauthentication_sent_at),
        "last_sign_in_at": _time(account.last_sign_in_at),
        "app_metadata": account.raw_app_meta_data,
        "user_metadata": account.raw_user_meta_data,
        "factors": [factor_json(factor) for factor in account.factors] or None,
        "identities": [_identity_json(identity) for identity in account.identities],
        "created_at": _time(account.created_at),
        "updated_at": _time(account.updated_at),
        "banned_until": _time(account.banned_until),
        "deleted_at": _time(account.deleted_at),
        "is_anonymous": account.is_anonymous,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _identity_json(identity: Mapping[str, object]) -> dict[str, object]:
    names = ("user_id", "identity_data", "provider", "last_sign_in_at", "created_at", "updated_at", "email")
    named = {"identity_id": identity["id"], "id": identity["provider_id"]}
    return {**named, **{name: identity[name] for name in names if identity.get(name) is not None}}


def factor_json(factor: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in factor.items() if value not in (None, "")}


def _time(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def read_duration(text: str) -> dt.timedelta | None:
    """Read a duration in Go's format, such as `24h` or `1h30m`. Returns None for `none`."""
    if text == "none":
        return None
    seconds = {"h": 3600, "m": 60, "s": 1}
    if re.fullmatch(r"(\d{1,9}[hms])+", text) is None:
        raise invalid("invalid format for ban duration")
    total = sum(int(number) * seconds[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
    return dt.timedelta(seconds=min(total, 100 * 365 * 86_400))


def unauthorized(message: str = "This endpoint requires a valid Bearer token") -> IdentityError:
    return IdentityError(401, "no_authorization", message)
