"""Translates GoTrue's errors into ours. The code stays the same; status and sentence are ours."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time

from app.core.counts import count_of
from app.core.errors import (
    AppError,
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unprocessable,
    UpstreamFailed,
)


@dataclass(frozen=True, slots=True)
class GoTrueRefusal:
    status: int
    """0 if there was no response."""
    code: str | None
    message: str
    headers: Mapping[str, str]
    reasons: Sequence[str] = ()
    """Why a password is too weak."""


ErrorClass = type[AppError]

SIGN_IN_AGAIN = "This session has ended. Sign in again."
KEY_REFUSED = (
    "Supabase refused this server's key. The operator must check SUPABASE_PUBLISHABLE_KEY and SUPABASE_SECRET_KEY."
)
UNAVAILABLE = "The identity provider does not respond. Try again in a moment."
INVALID_RESPONSE = "The identity provider sent an invalid response. Give this request_id to the operator."

ERRORS_BY_CODE: Mapping[str, tuple[ErrorClass, str]] = {
    # signing in
    "invalid_credentials": (Unauthorized, "Wrong e-mail address or password."),
    "email_not_confirmed": (
        Forbidden,
        "Confirm your e-mail address first. To get the e-mail again, call POST /v1/auth/resend.",
    ),
    "user_banned": (Forbidden, "This account is blocked. Ask the operator."),
    "email_provider_disabled": (Forbidden, "Signing in with a password is disabled."),
    "provider_disabled": (Forbidden, "This sign-in method is disabled."),
    "captcha_failed": (BadRequest, "The captcha was not solved. Try again."),
    # sessions
    "refresh_token_not_found": (Unauthorized, "This refresh token is invalid. Sign in again."),
    "refresh_token_already_used": (
        Unauthorized,
        "This refresh token was already used, so its session was ended. Sign in again.",
    ),
    "session_not_found": (Unauthorized, SIGN_IN_AGAIN),
    "session_expired": (Unauthorized, SIGN_IN_AGAIN),
    "bad_jwt": (Unauthorized, "This access token is invalid. Refresh it or sign in again."),
    "invalid_jwt": (Unauthorized, "This access token is invalid. Refresh it or sign in again."),
    "no_authorization": (Unauthorized, "Sign in first. Send `Authorization: Bearer <access token>`."),
    "insufficient_aal": (Forbidden, "Sign in with your second factor first."),
    "mfa_factor_not_found": (NotFound, "Your account has no such factor, or the factor has no such challenge."),
    "mfa_factor_name_conflict": (Conflict, "Your account has a factor with this name. Choose another `name`."),
    "too_many_enrolled_mfa_factors": (Conflict, "Your account has as many factors as it may have. Remove one first."),
    "mfa_verification_failed": (Unprocessable, "The code is wrong or was used before. Wait for the next code."),
    "mfa_challenge_expired": (Unprocessable, "The challenge has expired. Create a new one."),
    "mfa_ip_address_mismatch": (
        Unprocessable,
        "The challenge was used, or belongs to another IP address. Create a new one.",
    ),
    "mfa_totp_enroll_not_enabled": (Forbidden, "Authenticator apps are disabled at the identity provider."),
    "mfa_totp_verify_not_enabled": (Forbidden, "Authenticator apps are disabled at the identity provider."),
    "conflict": (Conflict, "The account was changed at the same time. Try again."),
    # signing up and changing an account
    "user_already_exists": (
        Conflict,
        "An account with this e-mail address already exists. Sign in, or recover the password.",
    ),
    "email_exists": (Conflict, "An account with this e-mail address already exists. Choose another address."),
    "signup_disabled": (Forbidden, "Sign-ups are disabled. Ask the operator for an account."),
    "same_password": (Unprocessable, "The new password equals the old one. Choose another."),
    "reauthentication_needed": (Forbidden, "Sign in again before you change the password."),
    "reauthentication_not_valid": (Unprocessable, "The code is wrong or has expired. Request a new one."),
    "current_password_required": (Unprocessable, "Send `current_password` together with the new password."),
    "current_password_invalid": (Forbidden, "The current password is wrong."),
    "email_address_not_authorized": (
        UpstreamFailed,
        "No e-mail can be sent to this address. The operator must set up a mail server in Supabase.",
    ),
    # links and codes
    "otp_expired": (Forbidden, "This link or code is wrong, already used or expired. Request a new one."),
    "otp_disabled": (Forbidden, "Signing in with a code is disabled."),
    # our own server
    "not_admin": (UpstreamFailed, KEY_REFUSED),
    "unexpected_failure": (
        UpstreamFailed,
        "The identity provider failed. Try again. If it keeps failing, give this request_id to the operator.",
    ),
}
"""Codes whose GoTrue message is clear enough are not listed. For them the status determines the error class."""

ERRORS_BY_STATUS: Mapping[int, ErrorClass] = {
    400: Unprocessable,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Unprocessable,
    422: Unprocessable,
}
ADVICE = {
    "length": "make it longer",
    "characters": "use more kinds of characters",
    "pwned": "it is in a list of leaked passwords",
}
CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
SECONDS = re.compile(r"after (\d{1,6}) seconds")
MAX_SENTENCE_LENGTH = 300


def translate_refusal(refusal: GoTrueRefusal) -> AppError:
    if refusal.status == 429:
        return _too_many_attempts(refusal)
    if refusal.code == "weak_password":
        return _weak_password(refusal)
    if refusal.code == "user_not_found":
        return _account_not_found(refusal)
    if refusal.code is not None and refusal.code in ERRORS_BY_CODE:
        kind, sentence = ERRORS_BY_CODE[refusal.code]
        return kind(sentence, code=refusal.code)
    return _translate_by_status(refusal)


def provider_unavailable(headers: Mapping[str, str]) -> Unavailable:
    wait = _retry_after(headers)
    return Unavailable(
        UNAVAILABLE, code="identity_unavailable", headers={} if wait is None else {"Retry-After": str(wait)}
    )


def invalid_response() -> UpstreamFailed:
    return UpstreamFailed(INVALID_RESPONSE, code="identity_failed")


def _too_many_attempts(refusal: GoTrueRefusal) -> TooManyRequests:
    wait = _retry_after(refusal.headers)
    if wait is None and (match := SECONDS.search(refusal.message)):
        wait = int(match[1])
    when = "Try again in a moment." if wait is None else f"Retry after {count_of(wait, 'second')}."
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return TooManyRequests(f"Too many attempts. {when}", code=_valid_code(refusal.code), headers=headers)


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """Whole seconds from now. The header contains seconds or a date."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return max(1, math.ceil(float(value)))
    try:
        return max(1, math.ceil(parsedate_to_datetime(value).timestamp() - time()))
    except ValueError:
        return None


def _weak_password(refusal: GoTrueRefusal) -> Unprocessable:
    advice = [ADVICE[reason] for reason in refusal.reasons if reason in ADVICE]
    message = _sentence(refusal.message) or "This password is too easy to guess"
    detail = f"{message}: {', '.join(advice)}" if advice else f"{message}: choose another"
    return Unprocessable(detail, code="weak_password")


def _account_not_found(refusal: GoTrueRefusal) -> AppError:
    """A 404 names an account by id. Otherwise the account of the access token was deleted."""
    if refusal.status == 404:
        return NotFound("No account has this id.", code="user_not_found")
    return Unauthorized("This account no longer exists.", code="user_not_found")


def _translate_by_status(refusal: GoTrueRefusal) -> AppError:
    """A response without a code comes from the gateway in front of GoTrue, which only checks our key."""
    if refusal.status in (401, 403) and refusal.code is None:
        return UpstreamFailed(KEY_REFUSED, code="identity_misconfigured")
    kind = ERRORS_BY_STATUS.get(refusal.status)
    if kind is None:
        return invalid_response()
    return kind(
        _sentence(refusal.message) or "The identity provider refused the request", code=_valid_code(refusal.code)
    )


def _sentence(message: str) -> str:
    return message.strip().rstrip(".:")[:MAX_SENTENCE_LENGTH]


def _valid_code(code: str | None) -> str | None:
    return code if code and CODE.fullmatch(code) else None
