"""An authenticator app. Each code is accepted once, so a test takes the next one in order: earlier, now, later."""

import time
from dataclasses import dataclass

from supabase_auth import AsyncGoTrueClient
from supabase_auth.types import AuthMFAVerifyResponse

from app.identity.local.security.totp import PERIOD_SECONDS, code_at
from tests.identity.local.conftest import PASSWORD

SECONDS_TO_SEND = 2.0


@dataclass
class Authenticator:
    factor_id: str
    secret: str
    shown: int = 0

    def next_code(self) -> str:
        self.shown += 1
        assert self.shown <= 3, "the clock skew that is allowed has no room for more codes"
        if self.shown == 1:
            _wait_for_time_to_send()
        return code_at(self.secret, int(time.time()) // PERIOD_SECONDS + self.shown - 2)

    async def confirm(self, client: AsyncGoTrueClient) -> AuthMFAVerifyResponse:
        return await client.mfa.challenge_and_verify({"factor_id": self.factor_id, "code": self.next_code()})


def _wait_for_time_to_send() -> None:
    """The code of the earlier period is too old as soon as the current one ends."""
    left = PERIOD_SECONDS - time.time() % PERIOD_SECONDS
    if left < SECONDS_TO_SEND:
        time.sleep(left)


async def enroll(client: AsyncGoTrueClient, name: str = "Telephone") -> Authenticator:
    enrolled = await client.mfa.enroll({"factor_type": "totp", "friendly_name": name, "issuer": "Test"})
    assert enrolled.totp is not None
    return Authenticator(enrolled.id, enrolled.totp.secret)


async def sign_in_client(client: AsyncGoTrueClient, email: str) -> AsyncGoTrueClient:
    await client.sign_in_with_password({"email": email, "password": PASSWORD})
    return client
