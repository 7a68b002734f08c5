"""Flows with a code challenge (PKCE): a request begins them, the link gives them a code, the exchange ends them."""

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError, invalid
from app.identity.local.storage.tables import flow_states

CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")
CODE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class CodeChallenge:
    method: str
    value: str

    def fits(self, verifier: str) -> bool:
        digest = hashlib.sha256(verifier.encode()).digest()
        hashed = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return hmac.compare_digest((hashed if self.method == "s256" else verifier).encode(), self.value.encode())


def read_challenge(value: str | None, method: str | None) -> CodeChallenge | None:
    if not value and not method:
        return None
    if not value or not method:
        raise invalid("PKCE flow requires code_challenge_method and code_challenge")
    if CHALLENGE.fullmatch(value) is None:
        raise invalid(
            "code challenge has to be between 43 and 128 letters, digits, hyphens, periods, underscores, tildes"
        )
    if method.lower() not in ("s256", "plain"):
        raise invalid("Invalid code challenge method: use s256 or plain")
    return CodeChallenge(method.lower(), value)


@dataclass(frozen=True, slots=True)
class FlowState:
    account_id: uuid.UUID
    method: str
    challenge: CodeChallenge
    is_expired: bool


class FlowStateRepository:
    def __init__(self, tx: AsyncSession) -> None:
        self._tx = tx

    async def begin(self, account_id: uuid.UUID, challenge: CodeChallenge, method: str) -> None:
        """Replaces an earlier flow of the method, whose link was replaced, too."""
        flow = flow_states.c
        await self._tx.execute(
            delete(flow_states).where(flow.user_id == account_id, flow.authentication_method == method)
        )
        values = {"id": uuid.uuid4(), "user_id": account_id, "auth_code": "", "authentication_method": method}
        values |= {"code_challenge_method": challenge.method, "code_challenge": challenge.value}
        now = {"created_at": func.now(), "updated_at": func.now()}
        await self._tx.execute(insert(flow_states).values(**values, provider_type="email", **now))

    async def issue_code(self, account_id: uuid.UUID, method: str) -> str | None:
        """None if the account has no such flow. The code is stored as a hash."""
        code, flow = secrets.token_urlsafe(32), flow_states.c
        issued = {"auth_code": _hash(code), "auth_code_issued_at": func.now(), "updated_at": func.now()}
        mine = update(flow_states).where(flow.user_id == account_id, flow.authentication_method == method)
        found = await self._tx.scalar(mine.values(**issued).returning(flow.id))
        return None if found is None else code

    async def spend(self, code: str) -> FlowState | None:
        """A code can be tried once, whether the verifier fits or not."""
        flow = flow_states.c
        age = func.now() - flow.auth_code_issued_at
        columns = (flow.user_id, flow.authentication_method, flow.code_challenge_method, flow.code_challenge, age)
        gone = delete(flow_states).where(flow.auth_code == _hash(code), flow.auth_code_issued_at.is_not(None))
        row = (await self._tx.execute(gone.returning(*columns))).first()
        if row is None:
            return None
        return FlowState(row[0], row[1], CodeChallenge(row[2], row[3]), row[4] > dt.timedelta(seconds=CODE_SECONDS))


def no_flow() -> IdentityError:
    return IdentityError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
