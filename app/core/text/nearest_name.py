"""Finds the name that was probably meant by a misspelt one."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Compares letters and digits only, so that `privacyMode` is `privacy_mode`."""
    by_letters = {_letters(each): each for each in known}
    matches = get_close_matches(_letters(name[:100]), by_letters, n=1, cutoff=0.6)
    return by_letters[matches[0]] if matches else None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
