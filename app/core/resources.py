"""What a running process holds: built once by wiring, closed once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from cryptography.fernet import Fernet
from fastapi import Depends, FastAPI, Request

from app.core.background_tasks import Background
from app.core.config import Values
from app.core.database.database import Database
from app.core.observability.active_users import Presence
from app.core.ports import (
    Courier,
    Embedder,
    Extractor,
    Identity,
    IndexQueue,
    KeyFinder,
    LanguageModel,
    ShortTerm,
    TokenVerifier,
    VectorIndex,
)
from app.core.rate_limit import RateLimits
from app.core.ttl_cache import Brief

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Resources:
    values: Values
    database: Database
    tokens: TokenVerifier
    keys: KeyFinder
    key_pepper: bytes = field(repr=False)
    identity: Identity
    identity_app: FastAPI | None
    """Our own provider's routes; None where accounts live in Supabase."""
    enter_project: Callable[[UUID, str], Awaitable[None]]
    """Gives an account seen for the first time its place: an organization of its own, or the shared project."""
    erase_account: Callable[[UUID], Awaitable[None]]
    """Takes away what only this account owns, before the account itself goes."""
    limits: RateLimits
    embedder: Embedder
    index: VectorIndex
    index_queue: IndexQueue
    extractor: Extractor
    llm: LanguageModel
    short_term: ShortTerm
    courier: Courier
    window_key: bytes = field(repr=False, default_factory=Fernet.generate_key)
    """Lives in this process and nowhere else: what it encrypts ends with it."""
    presence: Presence = field(default_factory=Presence)
    background: Background = field(default_factory=Background)
    brief: Brief = field(default_factory=Brief)
    checks: Mapping[str, Check] = field(default_factory=dict)
    essential: frozenset[str] = frozenset({"database"})
    gauges: Sequence[Callable[[], Awaitable[None]]] = ()


async def get_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]
