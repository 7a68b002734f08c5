"""A GoTrue server simulated with respx. It stores accounts and sessions, and responds like the real one."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from app.identity.local.security.totp import find_step, new_secret
from tests.adapters.accounts.gotrue import NOW, refusal, session, token, user

URL = "https://played.supabase.co/auth/v1"


@dataclass
class PlayedGoTrue:
    autoconfirm: bool = True
    mailed: list[str] = field(default_factory=list)
    users: dict[str, dict[str, object]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)
    factors: dict[str, dict[str, str]] = field(default_factory=dict)
    """The secrets of the factors of each account."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/auth/v1/")
        body = json.loads(request.content) if request.content else {}
        if path.startswith("admin/users"):
            return self._administer(request, path.removeprefix("admin/users").strip("/"), body)
        if path == "settings":
            return httpx.Response(200, json={"mailer_autoconfirm": self.autoconfirm})
        name = path if path != "token" else str(request.url.params["grant_type"])
        if path.startswith("factors"):
            return self._factor(request, path.removeprefix("factors").strip("/"), body)
        if name in ("user", "logout"):
            return self._as_person(request, body)
        answers: dict[str, Callable[[dict[str, str]], httpx.Response]] = {
            "signup": self._sign_up,
            "password": self._sign_in,
            "refresh_token": self._refresh,
            "recover": self._recover,
            "resend": lambda _: httpx.Response(200, json={}),
            "verify": self._verify,
        }
        return answers[name](body)

    def _sign_up(self, body: dict[str, str]) -> httpx.Response:
        if len(body["password"]) < 8:
            return refusal(422, "weak_password", "Too short.", weak_password={"reasons": ["length"]})
        if self._by_email(body["email"]):
            if self.autoconfirm:
                return refusal(422, "user_already_exists", "User already registered")
            return httpx.Response(200, json=user(body["email"], identities=[], **self._unconfirmed))
        made = self._add(body["email"], body["password"], {} if self.autoconfirm else self._unconfirmed)
        made["user_metadata"] = body["data"]
        return self._session(made) if self.autoconfirm else self._mail(made)

    _unconfirmed: dict[str, None] = field(default_factory=lambda: {"email_confirmed_at": None, "confirmed_at": None})

    def _add(self, email: str, password: str, changes: dict[str, None]) -> dict[str, object]:
        made = user(email.lower(), **changes)
        self.users[str(made["id"])] = made
        self.passwords[str(made["id"])] = password
        return made

    def _mail(self, to: dict[str, object]) -> httpx.Response:
        self.mailed.append(str(to["id"]))
        return httpx.Response(200, json=to)

    def _by_email(self, email: str) -> dict[str, object] | None:
        return next((found for found in self.users.values() if found["email"] == email.lower()), None)

    def _session(self, of: dict[str, object], aal: str = "aal1") -> httpx.Response:
        access, refresh = token(uuid.uuid4().hex, aal=aal), uuid.uuid4().hex
        self.access[access] = self.refresh[refresh] = str(of["id"])
        return httpx.Response(200, json=session(access_token=access, refresh_token=refresh, user=of))

    def _sign_in(self, body: dict[str, str]) -> httpx.Response:
        found = self._by_email(body["email"])
        if found is None or self.passwords[str(found["id"])] != body["password"]:
            return refusal(400, "invalid_credentials", "Invalid login credentials")
        if found["email_confirmed_at"] is None:
            return refusal(400, "email_not_confirmed", "Email not confirmed")
        return self._session(found)

    def _refresh(self, body: dict[str, str]) -> httpx.Response:
        owner = self.refresh.pop(body["refresh_token"], None)
        if owner is None:
            return refusal(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        return self._session(self.users[owner])

    def _recover(self, body: dict[str, str]) -> httpx.Response:
        if found := self._by_email(body["email"]):
            self._mail(found)
        return httpx.Response(200, json={})

    def _verify(self, body: dict[str, str]) -> httpx.Response:
        if body["token_hash"] not in self.mailed:
            return refusal(403, "otp_expired", "Email link is invalid or has expired")
        self.mailed.remove(body["token_hash"])
        found = self.users[body["token_hash"]]
        found["email_confirmed_at"] = found["confirmed_at"] = found["created_at"]
        return self._session(found)

    def _as_person(self, request: httpx.Request, body: dict[str, object]) -> httpx.Response:
        held = request.headers["Authorization"].removeprefix("Bearer ")
        if held not in self.access:
            return refusal(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        who = self.users[self.access[held]]
        if request.method == "POST":
            del self.access[held]
            return httpx.Response(204)
        if request.method == "PUT":
            return self._change(who, body)
        return httpx.Response(200, json=who)

    def _change(self, who: dict[str, object], body: dict[str, object]) -> httpx.Response:
        password, account = body.get("password"), str(who["id"])
        if password == self.passwords[account]:
            return refusal(422, "same_password", "New password should be different from the old password.")
        if password:
            self.passwords[account] = str(password)
        data, known = body.get("data"), who["user_metadata"]
        if isinstance(data, dict) and isinstance(known, dict):
            who["user_metadata"] = {key: value for key, value in {**known, **data}.items() if value is not None}
        return httpx.Response(200, json=who)

    def _factor(self, request: httpx.Request, path: str, body: dict[str, str]) -> httpx.Response:
        """Accepts the code of the secret that it shows, as the factor's own app computes it."""
        who = self.users[self.access[request.headers["Authorization"].removeprefix("Bearer ")]]
        factors, (factor_id, _, step) = self.factors.setdefault(str(who["id"]), {}), path.partition("/")
        if not path:
            factor_id, secret = str(uuid.uuid4()), new_secret()
            factors[factor_id], factor = secret, {"id": factor_id, "factor_type": "totp", "status": "unverified"}
            who["factors"] = [{**factor, "friendly_name": body["friendly_name"], "created_at": NOW, "updated_at": NOW}]
            shown = {"qr_code": "<svg></svg>", "secret": secret, "uri": f"otpauth://totp/x?secret={secret}"}
            answer = {"id": factor_id, "type": "totp", "friendly_name": body["friendly_name"], "totp": shown}
            return httpx.Response(200, json=answer)
        if factor_id not in factors:
            return refusal(404, "mfa_factor_not_found", "Factor not found")
        if step == "challenge":
            expires = int(time.time()) + 300
            return httpx.Response(200, json={"id": str(uuid.uuid4()), "type": "totp", "expires_at": expires})
        if step == "verify":
            if find_step(factors[factor_id], body["code"], time.time()) is None:
                return refusal(422, "mfa_verification_failed", "Invalid TOTP code entered")
            who["factors"] = [{**factor, "status": "verified"} for factor in who["factors"]]  # type: ignore[attr-defined]
            return self._session(who, "aal2")
        del factors[factor_id], who["factors"]
        return httpx.Response(200, json={"id": factor_id})

    def _administer(self, request: httpx.Request, account: str, body: dict[str, str]) -> httpx.Response:
        if request.method == "POST":
            if self._by_email(body["email"]):
                return refusal(422, "email_exists", "A user with this email address has already been registered")
            made = user(body["email"], id=body.get("id") or str(uuid.uuid4()))
            self.users[str(made["id"])] = made
            self.passwords[str(made["id"])] = body.get("password", "")
            return httpx.Response(200, json=made)
        if not account:
            page, size = int(request.url.params["page"]), int(request.url.params["per_page"])
            shown = list(self.users.values())[(page - 1) * size : page * size]
            return httpx.Response(200, json={"users": shown, "aud": "authenticated"})
        if account not in self.users:
            return refusal(404, "user_not_found", "User not found")
        if request.method == "DELETE":
            self._forget(account)
            return httpx.Response(200, json={})
        return httpx.Response(200, json=self.users[account])

    def _forget(self, account: str) -> None:
        del self.users[account], self.passwords[account]
        for held in (self.access, self.refresh):
            for key in [key for key, owner in held.items() if owner == account]:
                del held[key]
