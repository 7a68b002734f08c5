"""One claim, and how its parts are compared."""

import re
from dataclasses import dataclass

CLAUSE = re.compile(
    r",? (?:but|because|which|who|whom|while|although|though|where|when|so that|until|unless)\b|"
    r"\band (?:i|my|we|our|he|she|it|they|also|then|am|is|are|have|has|not)\b|[;:(—]",
    re.IGNORECASE,
)
"""A second statement, which would be lost with the first."""
PROPER = re.compile(r"[^\Wa-zß-ÿ_]|[\"'«„+$€£]")
NOT_A_VALUE = re.compile(
    r"(?:an?(?= )|the(?! [A-Z])|very|so|too|not|in|on|at|to|for|from|by|about|that|because|going|being|really|my|our|"
    r"his|her|their|one|what|how|where|who|all|always|never|quite|more|most|less|well|like)\b"
)
ARTICLE = re.compile(r"^(?:the|an?) ", re.IGNORECASE)
SUBJECT = (
    r"(?P<subject>i|(?:the )?user|(?:my|our|the|this) [\w'-]+(?: [\w'-]+){0,2}?|[^\W\d_][\w'.-]*(?: [\w'.-]+){0,3}?)"
)
FIRST_PERSON = frozenset({"i", "me", "my", "our", "we", "user", "the user"})


@dataclass(frozen=True, slots=True)
class Claim:
    subject: str
    relation: str
    """Empty for a frame, whose subject is all the words before the value."""
    value: str
    is_proper: bool
    """The value begins like a name or a number."""
    is_strict: bool = False
    """Only another name may replace it: the relation alone does not tell that there is one value."""
    needs_change: bool = False
    """Only a statement that tells of a change may replace it, unless both values are names."""
    only_change: bool = False
    """Only a statement that tells of a change may replace it, even a name."""
    changed: bool = False
    denied: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.subject, self.relation


def is_name(value: str) -> bool:
    """Whether it begins like a name or a number, after an article."""
    is_owned = re.search(r"'s [a-z]", value) is not None  # `Ann's team`
    return (PROPER.match(re.sub(r"^an? ", "", value)) is not None and not is_owned) or "@" in value


def fold(value: str) -> str:
    return ARTICLE.sub("", " ".join(value.casefold().strip(" .,!\"'«»„“”").split()))


def fold_subject(subject: str, speaker: str) -> str:
    folded = subject.casefold()
    if folded in FIRST_PERSON:
        return speaker
    return re.sub(r"^(?:my|our) ", f"{speaker}'s ", folded)
