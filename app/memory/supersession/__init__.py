"""Superseded memories: one replaces another, in the caller's transaction. What replaces what is decided elsewhere."""

from app.memory.supersession.chain import find_merged, find_replaced
from app.memory.supersession.decide import Replacement, ReplacementOutcome
from app.memory.supersession.supersede import supersede

__all__ = ["Replacement", "ReplacementOutcome", "find_merged", "find_replaced", "supersede"]
