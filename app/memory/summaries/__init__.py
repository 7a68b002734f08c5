"""Summaries: long-unused episodes are folded into one memory that a language model writes, and that can be undone."""

from app.memory.summaries.episodes import count_foldable
from app.memory.summaries.fold import FoldOutcome, FoldReport, fold_episodes

__all__ = ["FoldOutcome", "FoldReport", "count_foldable", "fold_episodes"]
