"""Judgement: which older memories a new statement replaces, by rules or by a language model."""

from app.memory.judgement.judgement import Judgement, record_replacements
from app.memory.judgement.rules import Verdict, judge

__all__ = ["Judgement", "Verdict", "judge", "record_replacements"]
