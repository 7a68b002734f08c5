"""The replaceable parts. Adapters implement these Protocols, and features depend on nothing else."""

from app.core.ports.accounts import Identity
from app.core.ports.content import ContentCipher, ContentKeys
from app.core.ports.credentials import KeyFinder, KeyGrant, TokenClaims, TokenVerifier
from app.core.ports.embeddings import (
    INSTALL_MULTILINGUAL,
    MAX_PIECES,
    MULTILINGUAL,
    MULTILINGUAL_PACKAGE,
    Embedder,
    EmbedderChoice,
    EmbedderModel,
    Purpose,
    Vector,
)
from app.core.ports.extraction import ExtractedFact, Extraction, ExtractionRequest, Extractor, KnownMemory
from app.core.ports.index_queue import IndexChange, IndexQueue, IndexRemoval, IndexUpsert
from app.core.ports.language_model import ChatMessage, Json, LanguageModel, ModelOptions, Role, Token, Usage
from app.core.ports.short_term import CountedWindow, Counters, ShortTerm
from app.core.ports.vector_index import (
    MESSAGES,
    Candidate,
    IndexedId,
    IndexEntry,
    IndexRebuild,
    SearchScope,
    VectorIndex,
)
from app.core.ports.webhooks import WebhookClient

__all__ = [
    "INSTALL_MULTILINGUAL",
    "MAX_PIECES",
    "MESSAGES",
    "MULTILINGUAL",
    "MULTILINGUAL_PACKAGE",
    "Candidate",
    "ChatMessage",
    "ContentCipher",
    "ContentKeys",
    "CountedWindow",
    "Counters",
    "Embedder",
    "EmbedderChoice",
    "EmbedderModel",
    "ExtractedFact",
    "Extraction",
    "ExtractionRequest",
    "Extractor",
    "Identity",
    "IndexChange",
    "IndexEntry",
    "IndexQueue",
    "IndexRebuild",
    "IndexRemoval",
    "IndexUpsert",
    "IndexedId",
    "Json",
    "KeyFinder",
    "KeyGrant",
    "KnownMemory",
    "LanguageModel",
    "ModelOptions",
    "Purpose",
    "Role",
    "SearchScope",
    "ShortTerm",
    "Token",
    "TokenClaims",
    "TokenVerifier",
    "Usage",
    "Vector",
    "VectorIndex",
    "WebhookClient",
]
