"""The calls of supabase-py whose outcomes docs/supabase.md lists. calls.mjs makes the same ones with supabase-js."""

import time
from collections.abc import Awaitable
from typing import Any

import httpx
from pydantic import ValidationError
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import AuthError

from app.identity.local.security.totp import PERIOD_SECONDS, code_at
from supabase import AsyncClientOptions, acreate_client

PASSWORD = "correct horse battery"
WORKS = "works"


class Calls:
    """Makes each call once, against one provider."""

    def __init__(self, url: str, publishable_key: str, secret_key: str, prefix: str) -> None:
        self._url = url
        self._publishable_key = publishable_key
        self._secret_key = secret_key
        self._email = f"{prefix}@example.com"
        self._http = httpx.AsyncClient(timeout=30)
        self.outcomes: dict[str, str] = {}

    async def make(self, key: str | None = None) -> AsyncGoTrueClient:
        options = AsyncClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=self._http)
        client: Any = await acreate_client(self._url, key or self._publishable_key, options)
        auth: AsyncGoTrueClient = client.auth
        return auth

    async def call(self, name: str, work: Awaitable[Any]) -> Any:
        try:
            result = await work
        except AuthError as error:
            code = error.code
            self.outcomes[name] = f"clear error {code}" if code else f"unclear: {type(error).__name__}"
            return None
        except ValidationError as error:
            self.outcomes[name] = f"unclear: {type(error).__name__}"
            return None
        self.outcomes[name] = WORKS
        return result

    async def run(self) -> dict[str, str]:
        async with self._http:
            auth = await self.make()
            await self._sessions(auth)
            await self._changes(auth)
            await self._mails(auth)
            await self._other_ways(auth)
            await self._second_factor(auth)
            await self._administration()
            await self._sign_out(auth)
        return self.outcomes

    async def _sessions(self, auth: AsyncGoTrueClient) -> None:
        person = {"email": self._email, "password": PASSWORD}
        other = await self.make()
        await self.call("signUp", auth.sign_up(person))  # type: ignore[arg-type]  # the dict has exactly these keys
        await self.call("signUp, address taken", other.sign_up(person))  # type: ignore[arg-type]
        await self.call("signUp, weak password", other.sign_up({"email": f"weak-{self._email}", "password": "short"}))
        signed_in = await self.call("signInWithPassword", auth.sign_in_with_password(person))  # type: ignore[arg-type]
        await self.call(
            "signInWithPassword, wrong password",
            other.sign_in_with_password({"email": self._email, "password": "wrong"}),
        )
        session = signed_in.session
        await self.call("getUser", auth.get_user())
        await self.call("getClaims", auth.get_claims())
        await self.call("refreshSession", auth.refresh_session())
        await self.call("refreshSession, unknown token", other.refresh_session("aaaaaaaaaaaa"))
        await self.call("setSession", other.set_session(session.access_token, session.refresh_token))

    async def _changes(self, auth: AsyncGoTrueClient) -> None:
        await self.call("updateUser, data", auth.update_user({"data": {"name": "Ada"}}))
        await self.call("updateUser, same password", auth.update_user({"password": PASSWORD}))
        await self.call("updateUser, password", auth.update_user({"password": "another fine password"}))
        await self.call("updateUser, phone", auth.update_user({"phone": "+15555550100"}))
        await self.call("updateUser, email", auth.update_user({"email": f"new-{self._email}"}))
        await self._change_of_address()

    async def _change_of_address(self) -> None:
        """Both addresses confirm it. The links are generated, because this deployment sends no e-mails."""
        other, admin = await self.make(), (await self.make(self._secret_key)).admin
        email, new_email = f"moving-{self._email}", f"moved-{self._email}"
        await admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
        current: Any = {"type": "email_change_current", "email": email, "new_email": new_email}
        first = await self.call("admin.generateLink, email_change_current", admin.generate_link(current))
        new: Any = {**current, "type": "email_change_new"}
        second = await self.call("admin.generateLink, email_change_new", admin.generate_link(new))
        await self.call("verifyOtp, first address of a change", other.verify_otp(confirmation_of(first)))
        await self.call("verifyOtp, second address of a change", other.verify_otp(confirmation_of(second)))
        await self.call(
            "signInWithPassword, new address", other.sign_in_with_password({"email": new_email, "password": PASSWORD})
        )

    async def _mails(self, auth: AsyncGoTrueClient) -> None:
        other, admin, email = await self.make(), (await self.make(self._secret_key)).admin, self._email
        await self.call("resetPasswordForEmail", other.reset_password_for_email(email))
        await self.call("resend", other.resend({"type": "signup", "email": email}))
        await self.call("signInWithOtp, email", other.sign_in_with_otp({"email": email}))
        await self.call("signInWithOtp, phone", other.sign_in_with_otp({"phone": "+15555550100"}))
        await self.call("verifyOtp, wrong code", other.verify_otp({"email": email, "token": "000000", "type": "email"}))
        link = await self.call(
            "admin.generateLink, magiclink", admin.generate_link({"type": "magiclink", "email": email})
        )
        token_hash = link.properties.hashed_token
        await self.call("verifyOtp, link", other.verify_otp({"token_hash": token_hash, "type": "magiclink"}))
        await self.call("reauthenticate", auth.reauthenticate())

    async def _other_ways(self, auth: AsyncGoTrueClient) -> None:
        other = await self.make()
        await self.call("getUserIdentities", auth.get_user_identities())
        await self.call("linkIdentity", auth.link_identity({"provider": "google"}))
        await self.call("signInWithIdToken", other.sign_in_with_id_token({"provider": "google", "token": "a.b.c"}))
        await self.call("signInWithSSO", other.sign_in_with_sso({"domain": "example.com"}))
        await self.call("signInAnonymously", other.sign_in_anonymously())

    async def _second_factor(self, auth: AsyncGoTrueClient) -> None:
        enrolled = await self.call("mfa.enroll", auth.mfa.enroll({"factor_type": "totp"}))
        factor = enrolled.id
        challenge = await self.call("mfa.challenge", auth.mfa.challenge({"factor_id": factor}))
        verification = {"factor_id": factor, "challenge_id": challenge.id}
        await self.call("mfa.verify, wrong code", auth.mfa.verify({**verification, "code": "abcdef"}))  # type: ignore[typeddict-item]
        code = code_at(enrolled.totp.secret, int(time.time()) // PERIOD_SECONDS)
        await self.call("mfa.verify", auth.mfa.verify({**verification, "code": code}))  # type: ignore[typeddict-item]
        await self.call("mfa.listFactors", auth.mfa.list_factors())
        await self.call("mfa.getAuthenticatorAssuranceLevel", auth.mfa.get_authenticator_assurance_level())
        await self.call("mfa.unenroll", auth.mfa.unenroll({"factor_id": factor}))

    async def _administration(self) -> None:
        other, admin = await self.make(), (await self.make(self._secret_key)).admin
        email = f"made-{self._email}"
        attributes = {"email": email, "password": PASSWORD, "email_confirm": True}
        created = await self.call("admin.createUser", admin.create_user(attributes))  # type: ignore[arg-type]
        account = created.user.id
        await self.call("admin.createUser, address taken", admin.create_user(attributes))  # type: ignore[arg-type]
        await self.call("admin.listUsers", admin.list_users())
        await self.call("admin.getUserById", admin.get_user_by_id(account))
        await self.call("admin.generateLink, recovery", admin.generate_link({"type": "recovery", "email": email}))
        await self.call("admin.inviteUserByEmail", admin.invite_user_by_email(f"invited-{self._email}"))
        await self.call("admin.updateUserById, ban", admin.update_user_by_id(account, {"ban_duration": "1h"}))
        await self.call(
            "signInWithPassword, banned", other.sign_in_with_password({"email": email, "password": PASSWORD})
        )
        await self.call("admin.mfa.listFactors", admin.mfa.list_factors({"user_id": account}))
        await self.call("admin.deleteUser", admin.delete_user(account))
        await self.call("admin.getUserById, deleted", admin.get_user_by_id(account))
        await self.call("admin.listUsers, publishable key", other.admin.list_users())

    async def _sign_out(self, auth: AsyncGoTrueClient) -> None:
        await self.call("signOut, others", auth.sign_out({"scope": "others"}))
        session = await auth.get_session()
        assert session is not None
        await self.call("signOut", auth.sign_out())
        other = await self.make()
        await self.call("refreshSession, signed out", other.refresh_session(session.refresh_token))


def confirmation_of(link: Any) -> Any:
    return {"token_hash": link.properties.hashed_token, "type": "email_change"}
