"""What GoTrue refuses, as one of our errors: its code stays ours, the status and the sentence say what to do."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time

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
class Refusal:
    status: int
    """0 where no answer came at all."""
    code: str | None
    message: str
    headers: Mapping[str, str]
    reasons: Sequence[str] = ()
    """Why a password is too weak."""


Kind = type[AppError]

SIGN_IN_AGAIN = "This session has ended: sign in again"
NOT_OURS = (
    "The server's key for accounts is not accepted: the operator has to check SUPABASE_PUBLISHABLE_KEY"
    " and SUPABASE_SECRET_KEY"
)
AWAY = "The identity provider does not answer: try again in a moment"
NONSENSE = "The identity provider answered something that cannot be used: tell the operator this request_id"

REFUSALS: Mapping[str, tuple[Kind, str]] = {
    # signing in
    "invalid_credentials": (Unauthorized, "Wrong email address or password"),
    "email_not_confirmed": (Forbidden, "Confirm your email address first: see the mail, or POST /v1/auth/resend"),
    "user_banned": (Forbidden, "This account is blocked: ask the operator"),
    "email_provider_disabled": (Forbidden, "Signing in with a password is switched off here"),
    "provider_disabled": (Forbidden, "This way of signing in is switched off here"),
    "captcha_failed": (BadRequest, "The captcha was not solved: try again"),
    # sessions
    "refresh_token_not_found": (Unauthorized, "This refresh token is not known: sign in again"),
    "refresh_token_already_used": (
        Unauthorized,
        "This refresh token was used before, so its session was ended: sign in again",
    ),
    "session_not_found": (Unauthorized, SIGN_IN_AGAIN),
    "session_expired": (Unauthorized, SIGN_IN_AGAIN),
    "bad_jwt": (Unauthorized, "This access token is not valid: refresh it or sign in again"),
    "invalid_jwt": (Unauthorized, "This access token is not valid: refresh it or sign in again"),
    "no_authorization": (Unauthorized, "Sign in first: send `Authorization: Bearer <access token>`"),
    "insufficient_aal": (Forbidden, "Sign in with your second factor first"),
    "conflict": (Conflict, "The account changed at this very moment: try again"),
    # signing up and changing an account
    "user_already_exists": (Conflict, "This email address already has an account: sign in, or recover the password"),
    "email_exists": (Conflict, "This email address already has an account: choose another"),
    "signup_disabled": (Forbidden, "Nobody can sign up here by themselves: ask the operator for an account"),
    "same_password": (Unprocessable, "The new password is the old one: choose another"),
    "reauthentication_needed": (Forbidden, "Sign in again before you change the password"),
    "reauthentication_not_valid": (Unprocessable, "The code has expired or is wrong: ask for a new one"),
    "current_password_required": (Unprocessable, "Send `current_password` along with the new one"),
    "current_password_invalid": (Forbidden, "The current password is wrong"),
    "email_address_not_authorized": (
        UpstreamFailed,
        "No mail can be sent to this address: the operator has to set up a mail server in Supabase",
    ),
    # links and codes
    "otp_expired": (Forbidden, "This link or code has expired, was used, or is wrong: ask for a new one"),
    "otp_disabled": (Forbidden, "Signing in with a code is switched off here"),
    # our own server
    "not_admin": (UpstreamFailed, NOT_OURS),
    "unexpected_failure": (
        UpstreamFailed,
        "The identity provider failed: try again, and tell the operator this request_id if it stays so",
    ),
}
"""Where GoTrue's own sentence is the better one no code is named here, and the status decides."""

BY_STATUS: Mapping[int, Kind] = {
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
    "pwned": "this one is in a list of leaked passwords",
}
WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
SECONDS = re.compile(r"after (\d{1,6}) seconds")
LONGEST_SENTENCE = 300


def explain(refusal: Refusal) -> AppError:
    if refusal.status == 429:
        return _too_many(refusal)
    if refusal.code == "weak_password":
        return _weak_password(refusal)
    if refusal.code == "user_not_found":
        return _nobody(refusal)
    if refusal.code is not None and refusal.code in REFUSALS:
        kind, sentence = REFUSALS[refusal.code]
        return kind(sentence, code=refusal.code)
    return _by_status(refusal)


def away(headers: Mapping[str, str]) -> Unavailable:
    wait = _retry_after(headers)
    return Unavailable(AWAY, code="identity_unavailable", headers={} if wait is None else {"Retry-After": str(wait)})


def nonsense() -> UpstreamFailed:
    return UpstreamFailed(NONSENSE, code="identity_failed")


def _too_many(refusal: Refusal) -> TooManyRequests:
    wait = _retry_after(refusal.headers)
    if wait is None and (said := SECONDS.search(refusal.message)):
        wait = int(said[1])
    when = "in a moment" if wait is None else f"in {wait} s"
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return TooManyRequests(f"Too many attempts: try again {when}", code=_word(refusal.code), headers=headers)


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """Whole seconds from now, whether the header gives seconds or a date."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return max(1, math.ceil(float(value)))
    try:
        return max(1, math.ceil(parsedate_to_datetime(value).timestamp() - time()))
    except ValueError:
        return None


def _weak_password(refusal: Refusal) -> Unprocessable:
    advice = [ADVICE[reason] for reason in refusal.reasons if reason in ADVICE]
    said = _sentence(refusal.message) or "This password is too easy to guess"
    detail = f"{said}: {', '.join(advice)}" if advice else f"{said}: choose another"
    return Unprocessable(detail, code="weak_password")


def _nobody(refusal: Refusal) -> AppError:
    """Named by an id there is no such account; behind a token it has gone."""
    if refusal.status == 404:
        return NotFound("There is no such account", code="user_not_found")
    return Unauthorized("This account no longer exists", code="user_not_found")


def _by_status(refusal: Refusal) -> AppError:
    """Without a code it was not GoTrue but the gateway before it, and that looks at our key only."""
    if refusal.status in (401, 403) and refusal.code is None:
        return UpstreamFailed(NOT_OURS, code="identity_misconfigured")
    kind = BY_STATUS.get(refusal.status)
    if kind is None:
        return nonsense()
    return kind(_sentence(refusal.message) or "The identity provider refused this", code=_word(refusal.code))


def _sentence(message: str) -> str:
    return message.strip().rstrip(".:")[:LONGEST_SENTENCE]


def _word(code: str | None) -> str | None:
    return code if code and WORD.fullmatch(code) else None
