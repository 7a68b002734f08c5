"""Statements that say the same: how they are found, by rules or by a language model, and which of them is kept."""

from app.memory.judgement.duplicates.known import FoundPairs, Known, find_replacements, read_wordings

__all__ = ["FoundPairs", "Known", "find_replacements", "read_wordings"]
