"""Recall: the memories that fit a question, ranked. Search, ranking and decay."""

from app.memory.recall.decay import decay_enabled, recall_with_decay
from app.memory.recall.features import FEATURES, RankingInput, compute_features
from app.memory.recall.ranking import rank
from app.memory.recall.rerank import pool_size, rerank
from app.memory.recall.search import Question, Recalled, embed_query, embed_question, load_visible, recall
from app.memory.recall.words_only import find_waiting, is_embedded

__all__ = [
    "FEATURES",
    "Question",
    "RankingInput",
    "Recalled",
    "compute_features",
    "decay_enabled",
    "embed_query",
    "embed_question",
    "find_waiting",
    "is_embedded",
    "load_visible",
    "pool_size",
    "rank",
    "recall",
    "recall_with_decay",
    "rerank",
]
