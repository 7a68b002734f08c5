"""Which embedder and which index a project uses, and both at once while it changes from one to the other."""

from app.memory.embedders.choices import DEFAULT_STATE, GRACE_SECONDS, ChangePhase, EmbedderChoices, EmbedderState
from app.memory.embedders.embedder_router import (
    EmbedderRouter,
    MultilingualVector,
    choice_of,
    embed_with,
    on_default_scale,
    ranking_model,
    serving_choice,
)
from app.memory.embedders.index_router import IndexPart, IndexRouter, index_parts

__all__ = [
    "DEFAULT_STATE",
    "GRACE_SECONDS",
    "ChangePhase",
    "EmbedderChoices",
    "EmbedderRouter",
    "EmbedderState",
    "IndexPart",
    "IndexRouter",
    "MultilingualVector",
    "choice_of",
    "embed_with",
    "index_parts",
    "on_default_scale",
    "ranking_model",
    "serving_choice",
]
