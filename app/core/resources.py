"""The resources of a process: opened once by `wiring`, closed once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from cryptography.fernet import Fernet
from fastapi import Depends, FastAPI, Request

from app.core.background_tasks import Background, SupervisedTask
from app.core.config import Config
from app.core.database.database import Database
from app.core.database.disk_space import DiskSpace
from app.core.observability.active_users import ActiveUsers
from app.core.observability.usage_counts import UsageCounts
from app.core.ports import (
    Embedder,
    Extractor,
    Identity,
    IndexQueue,
    KeyFinder,
    LanguageModel,
    ShortTerm,
    TokenVerifier,
    VectorIndex,
    WebhookClient,
)
from app.core.rate_limit import RateLimits
from app.core.ttl_cache import TtlCache

Check = Callable[[], Coroutine[object, object, bool]]


@dataclass
class IndexRepair:
    """While it runs, searches may miss memories."""

    is_running: bool = False
    is_inspected: bool = False
    """Whether the index was compared with the ledger since the start, and repaired."""

    async def is_finished(self) -> bool:
        return not self.is_running


@dataclass(frozen=True)
class Resources:
    config: Config
    database: Database
    tokens: TokenVerifier
    keys: KeyFinder
    key_pepper: bytes = field(repr=False)
    identity: Identity
    identity_app: FastAPI | None
    """The routes of the embedded identity provider; None with Supabase."""
    provision_account: Callable[[UUID, str], Awaitable[None]]
    """Gives a new account its project: one in an organization of its own, or the shared one."""
    erase_account: Callable[[UUID], Awaitable[None]]
    """Deletes the data that only this account owns, before the account itself is deleted."""
    mail_invitation: Callable[[str, UUID, str], None] | None
    """E-mails an invitation (address, id, token) in the background. None where no mail server is configured."""
    limits: RateLimits
    embedder: Embedder
    index: VectorIndex
    index_queue: IndexQueue
    index_repair: IndexRepair = field(default_factory=IndexRepair, kw_only=True)
    extractor: Extractor
    llm: LanguageModel
    short_term: ShortTerm
    webhook_client: WebhookClient
    disk_space: DiskSpace = field(default_factory=lambda: DiskSpace(None))
    """Of the disk that holds the embedded database or index. Without either, there is always space."""
    metrics_token: str | None = field(repr=False, default=None)
    """What /metrics requires as a bearer token."""
    window_key: bytes = field(repr=False, default_factory=Fernet.generate_key)
    """Encrypts the short-term memory of incognito sessions. It never leaves the process and ends with it."""
    active_users: ActiveUsers = field(default_factory=ActiveUsers)
    usage: UsageCounts = field(default_factory=UsageCounts)
    """Requests and memories that are not in the database yet."""
    background: Background = field(default_factory=Background)
    running_turns: set[UUID] = field(default_factory=set)
    """The chat turns that this process is answering, each of which renews the lease on its session."""
    cache: TtlCache = field(default_factory=TtlCache)
    supervised_tasks: list[SupervisedTask] = field(default_factory=list)
    """The background work of this process. Readiness reports it."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    running_checks: dict[Check, asyncio.Task[bool]] = field(default_factory=dict)
    essential: frozenset[str] = frozenset({"database"})
    gauges: Sequence[Callable[[], Awaitable[object]]] = ()


async def get_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]
