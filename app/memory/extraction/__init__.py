"""Extraction: the facts that a language model, or rules without one, find in a conversation."""

from app.memory.extraction.extract import run_extraction
from app.memory.extraction.interim import is_interim
from app.memory.extraction.jobs import extract
from app.memory.extraction.requests import asks_to_forget

__all__ = ["asks_to_forget", "extract", "is_interim", "run_extraction"]
