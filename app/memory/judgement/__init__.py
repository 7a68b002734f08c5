"""Judgement: which older memories a new statement replaces, by rules or by a language model."""

from app.memory.judgement.by_model import ModelVerdicts, ask_for_verdicts
from app.memory.judgement.consolidate import Consolidated, consolidate
from app.memory.judgement.judgement import Judgement, append_results, record_replacements, replaced_result
from app.memory.judgement.neighbours import Pair, Statement, build_pairs, load_statements
from app.memory.judgement.rules import Verdict, judge

__all__ = [
    "Consolidated",
    "Judgement",
    "ModelVerdicts",
    "Pair",
    "Statement",
    "Verdict",
    "append_results",
    "ask_for_verdicts",
    "build_pairs",
    "consolidate",
    "judge",
    "load_statements",
    "record_replacements",
    "replaced_result",
]
