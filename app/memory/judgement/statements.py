# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Read a text as sentences without speakers, questions, greetings, corrections and words of change."""

import re
import unicodedata
from dataclasses import dataclass

from app.core.text.sentences import split_before_capitals

SPEAKER = re.compile(r"^([^\W\d_][\w.'-]{0,19}(?: [\w.'-]{1,19}){0,2}): +(?=\S)")
NO_SPEAKERS = frozenset({"correction", "update", "note", "sorry", "edit", "ps", "no", "actually", "wait"})
QUESTION = re.compile(r"[?？؟]\s*$")
CONTRACTIONS = (
    (re.compile(r"\b(i)'m\b", re.I), r"\1 am"),
    (re.compile(r"\b(you|we|they)'re\b", re.I), r"\1 are"),
    (re.compile(r"\b(he|she|it|that|there|name|here)'s\b", re.I), r"\1 is"),
    (re.compile(r"\b(i|you|we|they)'ve\b", re.I), r"\1 have"),
    (re.compile(r"\bcan't\b|\bcannot\b", re.I), "can not"),
    (re.compile(r"\bwon't\b", re.I), "will not"),
    (re.compile(r"n't\b", re.I), " not"),
)
CORRECTION = re.compile(
    r"^(?:no|nope|nein|нет|hayır|不|不是|नहीं|لا|sorry|wait|oops|correction|actually|eigentlich|en realidad|aslında|"
    r"that(?: is|'s) (?:wrong|incorrect|not (?:right|true|correct))|that was wrong|i was wrong|das stimmt nicht|"
    r"das ist falsch|eso no es correcto|это неправильно|(?:no,? )?i (?:meant|mean)(?: to say)?|i misspoke)"
    r"(?: that)?\s*[,.:;!，。—–-]+\s*|^(?:actually|no|i meant?)(?: that)? (?=i |my |the |it )",
    re.IGNORECASE,
)
CHANGE = re.compile(
    r"\b(?:now|currently|nowadays|at the moment|at present|right now|as of (?:today|now)|these days|from now on|"
    r"meanwhile|jetzt|inzwischen|mittlerweile|nun|seit kurzem|ahora|actualmente|artık|şimdi|şu anda|теперь|сейчас)\b|"
    r"\bअब\b|الآن|حاليا",
    re.IGNORECASE,
)
CHANGE_UNSPACED = re.compile("现在|如今|目前")
FILLER = re.compile(
    r"\b(?:just|recently|finally|officially|actually|really|today|btw|by the way|well|so|ok|okay|oh)\b,?", re.I
)


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    """Without contractions, words of change and the final mark."""
    speaker: str
    """The name that `I` stands for."""
    changed: bool
    """The sentence says that something is different from before, or corrects something."""


def read_sentences(text: str) -> list[Sentence]:
    """The sentences that state something, which questions do not."""
    plain = unicodedata.normalize("NFKC", text).replace("\u2019", "'").replace("\u2018", "'").strip()
    match = SPEAKER.match(plain)
    match = None if match and match[1].casefold() in NO_SPEAKERS else match
    speaker = match[1].casefold() if match else "user"
    sentences, corrects = [], False
    for part in split_before_capitals(plain[match.end() :] if match else plain):
        if QUESTION.search(part):
            continue
        rest = strip_correction(part)
        if not rest:
            corrects = True
            continue
        sentences.append(_read_sentence(rest, speaker, changed=corrects or rest != part))
    return sentences


def strip_correction(part: str) -> str:
    """Without the words before it that say that something said earlier is wrong."""
    bare = part.strip()
    while match := CORRECTION.match(bare if bare[-1:] in ".,!:;" else f"{bare}."):
        bare = bare[match.end() :].strip()
        if not bare:
            break
    return bare


def _read_sentence(part: str, speaker: str, *, changed: bool) -> Sentence:
    bare = part.strip().rstrip(".!。！।؛;, ")
    for pattern, replacement in CONTRACTIONS if "'" in bare or "cannot" in bare else ():
        bare = pattern.sub(replacement, bare)
    without = CHANGE.sub(" ", CHANGE_UNSPACED.sub("", bare))
    changed = changed or without != bare
    clean = " ".join(FILLER.sub(" ", without).split()).strip(" ,")
    return Sentence(clean, speaker, changed)
