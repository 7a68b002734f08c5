"""Extraction: the facts that a language model, or rules without one, find in a conversation."""

from app.memory.extraction.extract import run_extraction
from app.memory.extraction.interim import is_interim
from app.memory.extraction.jobs import extract
from app.memory.extraction.requests import is_never_stored, leave_out_exchanges

__all__ = ["extract", "is_interim", "is_never_stored", "leave_out_exchanges", "run_extraction"]
