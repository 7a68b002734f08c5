"""Judgement: which older memories a new statement replaces, by rules or by a language model."""

from app.memory.judgement.by_model import ModelVerdicts, ask_for_verdicts
from app.memory.judgement.claim import Claim
from app.memory.judgement.consolidate import Consolidated, Consolidation
from app.memory.judgement.judgement import Judgement, append_results, record_replacements, replaced_result
from app.memory.judgement.neighbours import Pair, Statement, build_pairs, load_statements
from app.memory.judgement.readings import read_claims_of
from app.memory.judgement.rules import Verdict, differs, judge
from app.memory.judgement.vocabulary import FUNCTIONAL_NOUNS, STOP_WORDS

__all__ = [
    "FUNCTIONAL_NOUNS",
    "STOP_WORDS",
    "Claim",
    "Consolidated",
    "Consolidation",
    "Judgement",
    "ModelVerdicts",
    "Pair",
    "Statement",
    "Verdict",
    "append_results",
    "ask_for_verdicts",
    "build_pairs",
    "differs",
    "judge",
    "load_statements",
    "read_claims_of",
    "record_replacements",
    "replaced_result",
]
