"""Responses of GoTrue."""

import base64
import json
import time
import uuid

import httpx

NOW = "2026-11-20T22:36:15.541Z"
VERSION = {"X-Supabase-Api-Version": "2024-01-01"}


def user(email: str = "ana@example.com", **changes: object) -> dict[str, object]:
    account = str(uuid.uuid4())
    identity = {
        "identity_id": str(uuid.uuid4()),
        "id": account,
        "user_id": account,
        "identity_data": {"email": email, "sub": account},
        "provider": "email",
        "last_sign_in_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
        "email": email,
    }
    shown = {"id": account, "aud": "authenticated", "role": "authenticated", "email": email, "phone": ""}
    times = {"email_confirmed_at": NOW, "confirmed_at": NOW, "last_sign_in_at": NOW, "created_at": NOW}
    metadata = {"app_metadata": {"provider": "email", "providers": ["email"]}, "user_metadata": {}}
    return {**shown, **times, **metadata, "identities": [identity], "is_anonymous": False, **changes}


def token(name: str = "ana", *, seconds: int = 3600, aal: str = "aal1") -> str:
    """Has the form of an access token. The client reads its expiry and does not check the signature."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"sub": name, "exp": int(time.time()) + seconds, "iss": "https://x", "aud": "authenticated", "aal": aal}
    return f"{part({'alg': 'ES256', 'typ': 'JWT', 'kid': 'k'})}.{part(claims)}.{part(name)}"


def session(name: str = "ana", **changes: object) -> dict[str, object]:
    tokens = {"access_token": token(name), "refresh_token": f"refresh-{name}", "token_type": "bearer"}
    return {**tokens, "expires_in": 3600, "user": user(f"{name}@example.com"), **changes}


def refusal(status: int, code: str, message: str = "No.", **more: object) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": message, **more}, headers=VERSION)


def old_refusal(status: int, code: str, message: str = "No.") -> httpx.Response:
    """The format before 2024."""
    return httpx.Response(status, json={"code": status, "error_code": code, "msg": message})
