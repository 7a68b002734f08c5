"""The replaceable parts. Adapters implement these Protocols, and features depend on nothing else."""

import datetime as dt
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from app.core.accounts import Identity as Identity  # the port to accounts has a file of its own

Vector = Sequence[float]


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str


# ---------------------------------------------------------------- language model


@dataclass(frozen=True, slots=True)
class ModelOptions:
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    keep: bool = True
    """False in incognito sessions: asks the provider not to store the request."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, more: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + more.prompt_tokens, self.completion_tokens + more.completion_tokens)


@dataclass(frozen=True, slots=True)
class Token:
    text: str


class LanguageModel(Protocol):
    """Streams an answer: tokens, then exactly one Usage. Raises the errors of core/errors.py."""

    name: str

    def stream(self, messages: Sequence[ChatMessage], options: ModelOptions) -> AsyncGenerator[Token | Usage, None]: ...

    async def healthy(self) -> bool: ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- embeddings


class Purpose(StrEnum):
    DOCUMENT = "document"
    QUERY = "query"


MAX_PIECES = 8
"""How many pieces of one text are embedded. What follows is found by its words only."""


class Embedder(Protocol):
    """Turns texts into unit vectors.

    A text that is too long for the model is split, and the vectors of its first `MAX_PIECES` pieces are averaged."""

    @property
    def name(self) -> str:
        """The model, for example `onnx:all-MiniLM-L6-v2-int8-static`. It is stored with the index."""

    @property
    def dimensions(self) -> int: ...

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        """`tenant` is the project that the texts belong to: projects take turns."""
        ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- extraction


@dataclass(frozen=True, slots=True)
class KnownMemory:
    """An existing memory, shown to the extractor so that it does not extract the same fact again."""

    id: UUID
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    messages: Sequence[ChatMessage]
    """The new messages, oldest first."""
    sources: Sequence[int] = ()
    """If several conversations are read together, the number of the conversation of each message."""
    recent: Sequence[ChatMessage] = ()
    """Earlier messages, for context only."""
    search_known: Callable[[Sequence[str], int], Awaitable[list[list[KnownMemory]]]] | None = None
    """Takes texts and a limit, and returns the nearest memories of the namespace for each text."""
    user_id: str | None = None
    agent_id: str | None = None
    instructions: str | None = None
    """Instructions of the project or the request on what to remember."""
    said_at: dt.datetime | None = None
    keep: bool = True


@dataclass(frozen=True, slots=True)
class ExtractedFact:
    text: str
    attributed_to: Role = Role.USER
    metadata: Mapping[str, object] = field(default_factory=dict)
    source: int | None = None
    """The conversation that contains the fact. None if there is only one, or if the extractor does not know."""


@dataclass(frozen=True, slots=True)
class Extraction:
    facts: Sequence[ExtractedFact]
    note: str | None = None
    """A sentence for the event, for example that no language model is configured."""
    usage: Usage = field(default_factory=Usage)


class Extractor(Protocol):
    """Extracts facts. Raises ExtractionFailed instead of returning an empty result on failure."""

    name: str

    async def extract(self, request: ExtractionRequest) -> Extraction: ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- vector index


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One memory as the index stores it: derived from the ledger, and without readable metadata."""

    id: UUID
    project_id: UUID
    namespace: str
    vector: Vector
    text: str
    """For BM25 only. An index does not have to return it."""


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Where to search. `namespaces` None means the whole project; `only` restricts the search to these memories."""

    project_id: UUID
    namespaces: tuple[str, ...] | None
    only: tuple[UUID, ...] | None = None


class Candidate(NamedTuple):
    id: UUID
    similarity: float | None
    """Cosine similarity, -1 to 1; None if only the words matched."""
    bm25: float | None
    """BM25 with word statistics of the scope alone; None if only the meaning matched."""


@dataclass(frozen=True, slots=True)
class IndexedId:
    id: UUID
    project_id: UUID


class VectorIndex(Protocol):
    """Dense and BM25 search within a scope. Every acknowledged write survives a crash."""

    shared: bool
    """Whether other processes may write to it, too."""
    needs_rebuild: bool
    """Whether its content cannot be trusted, because its files were changed while it was closed."""

    async def upsert(self, entries: Sequence[IndexEntry]) -> None: ...

    async def remove(self, ids: Sequence[UUID]) -> None: ...

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        """The `limit` nearest by meaning and the `limit` best by words, merged, with both scores where known.

        The index awaits the vector as late as possible, so that it can search for words while the model embeds."""
        ...

    async def find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        """The `limit` nearest by meaning alone."""
        ...

    async def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """The vectors of those ids that the index holds for this project."""
        ...

    async def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids that the index holds."""
        ...

    def iterate_entries(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        """Every entry, in batches, for repair."""
        ...

    async def count(self) -> int: ...

    async def built_with(self) -> tuple[str, int] | None:
        """Name and dimensions of the embedder that made the vectors; None while the index is empty and unmarked."""
        ...

    async def start_rebuild(self, embedder: str, dimensions: int) -> "IndexRebuild":
        """Create a second, empty index beside this one, to be filled and swapped in."""
        ...

    async def run_housekeeping(self) -> None:
        """Called while the indexer is idle: short steps, never a long pause."""
        ...

    async def healthy(self) -> bool: ...

    async def close(self) -> None: ...


class IndexRebuild(Protocol):
    async def upsert(self, entries: Sequence[IndexEntry]) -> None: ...

    async def swap(self) -> None:
        """Direct searches to the new index and remove the old one."""
        ...

    async def abandon(self) -> None: ...


@dataclass(frozen=True, slots=True)
class IndexUpsert:
    """One committed version of a memory."""

    id: UUID
    project_id: UUID
    namespace: str
    content: str
    context: str | None
    created_at: dt.datetime
    version: dt.datetime


@dataclass(frozen=True, slots=True)
class IndexRemoval:
    id: UUID
    project_id: UUID
    namespace: str


IndexChange = IndexUpsert | IndexRemoval


class IndexQueue(Protocol):
    """Takes committed changes from the ledger to the index."""

    async def put(self, changes: Sequence[IndexChange], *, from_chat: bool = False) -> None:
        """`from_chat`: the changes come from a chat turn, whose words the next turn has in its window anyway."""
        ...

    async def wait_until_indexed(
        self,
        project_id: UUID,
        namespaces: Sequence[str] | None,
        *,
        include_chat: bool = True,
        seconds: float | None = None,
    ) -> bool:
        """Return True once every change that was acknowledged for these namespaces before this call, at this process or
        another one, is in the index, and False if that takes longer than `seconds`."""
        ...

    def count_waiting(self, project_id: UUID) -> int: ...

    def __contains__(self, memory_id: UUID) -> bool:
        """Whether a change of this memory is on its way through this queue."""
        ...


# ---------------------------------------------------------------- short-term memory


class ShortTerm(Protocol):
    """A cache of small values with a time to live. Losing it never loses data.

    Each tenant has a share of the memory. When it is full, the tenant's oldest values are removed, and no others.
    """

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl_seconds: float, *, tenant: str | None = None) -> None: ...

    async def delete(self, *keys: str) -> int: ...

    async def healthy(self) -> bool: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """A counter that starts again at the end of each period of this length."""

    key: str
    seconds: int
    limit: int = sys.maxsize
    counts_members: bool = False
    """Count only if the window before it in the list was counted for the first time: the number of its keys."""


class Counters(Protocol):
    """Counts in fixed windows, for rate limits."""

    async def hit(self, windows: Sequence[CountedWindow]) -> list[int]:
        """Count the windows in this order, up to the first that exceeds its limit, and return the counts."""
        ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- webhooks


class WebhookClient(Protocol):
    """Sends a webhook and returns the status of the response. Raises NotDelivered."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int: ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- credentials


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What a valid API key allows."""

    key_id: UUID
    project_id: UUID
    organization_id: UUID
    scopes: frozenset[str]
    expires_at: dt.datetime | None
    created_by: UUID | None
    """The account whose rights limit those of the key. None for a key of the operator."""
    creator_role: str | None
    """The role of that account in the project now. None if it was removed, banned or deleted."""


class KeyFinder(Protocol):
    def recognises(self, credential: str) -> bool:
        """Whether the credential has the form of an API key."""
        ...

    async def find(self, credential: str) -> KeyGrant | None: ...


class TokenClaims(Protocol):
    """The account and session of a verified access token."""

    @property
    def subject(self) -> UUID: ...
    @property
    def session_id(self) -> UUID: ...
    @property
    def email(self) -> str: ...


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> TokenClaims:
        """Raises Unauthorized if the token is forged, expired, of another issuer, or not a user's."""
        ...
