"""English statements in a normal form: the same fact about the user, told by the user or about the user (pure)."""

import re

from app.core.text.content_words import words
from app.memory.judgement.vocabulary import FUNCTIONAL_NOUNS, either

CONTRACTIONS = {
    "i'm": "i am", "you're": "you are", "we're": "we are", "they're": "they are", "he's": "he is", "she's": "she is",
    "it's": "it is", "that's": "that is", "there's": "there is", "i've": "i have", "we've": "we have",
    "they've": "they have", "you've": "you have", "i'll": "i will", "we'll": "we will", "i'd": "i would",
    "cannot": "can not", "can't": "can not", "won't": "will not", "im": "i am", "dont": "do not", "doesnt": "does not",
}  # fmt: skip
FORMS = {
    "am": "be", "is": "be", "are": "be", "has": "have", "does": "do", "users": "user's", "favourite": "favorite",
    "colour": "color", "colours": "colors", "favourites": "favorites", "mom": "mother", "mum": "mother",
    "mom's": "mother's", "mum's": "mother's", "dad": "father", "dad's": "father's", "kid": "child",
    "kids": "children", "bike": "bicycle", "tv": "television", "e-mail": "email", "&": "and", "grey": "gray",
    "theatre": "theater", "centre": "center", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "hubby": "husband",
    "grandma": "grandmother", "grandpa": "grandfather", "fridge": "refrigerator", "veggie": "vegetarian",
}  # fmt: skip
"""Other forms and spellings of one word."""
OPENERS = words("oh well hey hi hello ok okay yes yeah yep please fyi anyway btw so and um hm hmm")
"""What says nothing at the beginning of a sentence."""
PHRASES = re.compile(
    r"^(?:by the way|for the record|just so you know|(?:please )?(?:note|remember|know|keep in mind) that|"
    r"you should know that|let me tell you that|in case you (?:wonder|are wondering))\b"
)
EMPTY = words("also actually basically")
GREETINGS = words("hi hello hey thanks thank you there good morning evening afternoon day bye")
BEFORE_FEW = re.compile(r"\b(?:a|an|the) (?!few\b|little\b|lot\b|bit\b|while\b|couple\b|number\b|most\b|best\b)")
USER = re.compile(r"^(?:the )?user (?=\S)")
OF_USER = re.compile(r"\b(?:the )?user's\b")
ADVERBS = r"(?:(?:currently|really|always|often|usually|sometimes|never|still|already|now|mostly|mainly) )*"
VERB = re.compile(rf"^(i {ADVERBS})(\w+s)\b(?!')")
NO_VERBS = words("was always sometimes besides perhaps this its his hers ours yours theirs as us")
WORD_OF_OTHERS = re.compile(r"\b(?:they|them|he|she|him|her|his|hers|its)\b")
THING = r"((?!(?:not|no|any|or|and)\b)[\w'-]+(?: (?!(?:and|or|but|because|if|when|since|with)\b)[\w'-]+){0,2})"
OWNED = rf"(?:favorite [\w ]+|{either(' '.join(FUNCTIONAL_NOUNS))})"
DIETS = "vegetarian|vegan|pescatarian|keto|kosher|halal"
REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rf"^i (?:have|suffer from) {THING} allergy$", r"i be allergic to \1"),
        (rf"^i (?:have|suffer from) (?:allergy|allergies) to {THING}$", r"i be allergic to \1"),
        (rf"^i have {THING}[ -]intolerance$", r"i be intolerant to \1"),
        (rf"^i be {THING}[ -]intolerant$", r"i be intolerant to \1"),
        (rf"^i be intolerant (?:of|to) {THING}$", r"i be intolerant to \1"),
        (r"^i have diabetes$", "i be diabetic"),
        (r"^i have asthma$", "i be asthmatic"),
        (r"^i have epilepsy$", "i be epileptic"),
        (r"^i have dyslexia$", "i be dyslexic"),
        (rf"^i (?:follow|eat|keep|be on|have) ({DIETS}) diet$", r"i be \1"),
        (rf"^i be an? ({DIETS})$", r"i be \1"),
        (r"^i be (?:employed|working) (?:at|by|for) ", "i work at "),
        (r"^i work for ", "i work at "),
        (r"^i be (?:employed|working) as ", "i work as "),
        (r"^i be (.+) by (?:profession|trade|occupation)$", r"i work as \1"),
        (r"^my (?:job|profession|occupation) be (?!to\b)([\w ]+)$", r"i work as \1"),
        (r"^i be living (in|with|at|on|near) ", r"i live \1 "),
        (r"^i live in city of ", "i live in "),
        (r"^i be studying ", "i study "),
        (r"^i come from ", "i be from "),
        (r"^i do not like ", "i dislike "),
        (r"^i (have .+?) (?:called|whose name be) (\S+(?: \S+)?)$", r"i \1 named \2"),
        (r"^my (.+?) be (?:called|named) (\S+(?: \S+)?)$", r"my \1's name be \2"),
        (r"^name of my (.+?) be (\S+(?: \S+)?)$", r"my \1's name be \2"),
        (rf"^(?!(?:i|my|this|that|it|he|she|there|what|who)\b)(.+) be my ({OWNED})$", r"my \2 be \1"),
    )
)
"""Two phrases for the same, on a sentence without articles. The first that fits is used."""
LIKING = re.compile(
    r"^((?:i|\w+) (?:like|love|hate|enjoy|dislike|prefer)s? )(?:to (\w+)|(\w{2,})ing)\b(?! (?:in order )?to\b)"
)
PAIR_AT_END = re.compile(
    r"^((?:i|\w+) (?:like|love|enjoy|hate|dislike|speak|play|own|drink|eat|know)s? )([\w'-]+) and ([\w'-]+)$"
)
ALLERGIC = re.compile(r"^(i be allergic to )(.*?)([\w'-]+)$")
NO_DETAIL = (
    r"(?!.*(?:\d|\b(?:not|no|never|only|but|or|if|when|while|until|till|unless|instead|except|without|sometimes|often|"
    r"usually|part-time|temporarily|once|summers?|winters?|spring|autumn|fall|weekends?|weekdays?|mornings?|evenings?|"
    r"nights?|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|january|february|march|april|may|june|july|august|september|"
    r"october|november|december|past|future|now|moment|might|maybe|would|want|hope|plan|used|was|were|had)\b))"
)
REST = rf"{NO_DETAIL}\S+(?: \S+){{0,4}}$"
BASES = (
    re.compile(r"(i have [\w'-]+(?: [\w'-]+)?) named \S+(?: \S+)?$"),
    re.compile(rf"(i work as [\w'-]+(?: (?!at\b|in\b|for\b|with\b)[\w'-]+)?) (?:at|in|for) {REST}"),
    re.compile(
        rf"(i (?:live|work|study) (?:in|at) [\w'-]+(?: (?!with\b|near\b|as\b|and\b)[\w'-]+)?) (?:with|near|as) {REST}"
    ),
)
"""What is left without a detail that only adds to it."""


def read_english(tokens: list[str]) -> str:
    """A sentence in its normal form; empty if it says nothing."""
    if GREETINGS.issuperset(tokens):
        return ""
    text = " ".join(expand(token) for token in tokens)
    text = PHRASES.sub("", " ".join(_without_openers(text.split()))).strip()
    text = _told_by_user(text)
    text = " ".join(FORMS.get(word, word) for word in text.split() if word not in EMPTY)
    text = re.sub(r"^i have got\b", "i have", text)
    text = LIKING.sub(_activity, BEFORE_FEW.sub("", text))
    for pattern, replacement in REWRITES:
        if pattern.search(text):
            text = pattern.sub(replacement, text)
            break
    text = ALLERGIC.sub(lambda match: match[1] + match[2] + _singular(match[3]), text)
    return PAIR_AT_END.sub(lambda match: match[1] + " and ".join(sorted((match[2], match[3]))), text)


def base_of(meaning: str) -> str:
    """The meaning itself, where it has no such detail."""
    found = next((match for pattern in BASES if (match := pattern.match(meaning))), None)
    return found[1] if found else meaning


def expand(token: str) -> str:
    if token in CONTRACTIONS:
        return CONTRACTIONS[token]
    return token[:-3] + " not" if token.endswith("n't") else token


def _without_openers(tokens: list[str]) -> list[str]:
    start = next((at for at, token in enumerate(tokens) if token not in OPENERS), 0)
    return tokens[start:]


def _told_by_user(text: str) -> str:
    """`The user likes` is `I like`: extracted facts speak of the user, messages are told by the user."""
    bare = OF_USER.sub("my", text)
    if not (match := USER.match(bare)):
        return bare
    told = VERB.sub(_first_person, f"i {bare[match.end() :]}")
    if told.split().count("their") == 1 and not WORD_OF_OTHERS.search(told):
        told = re.sub(r"\btheir\b", "my", told)
    return told


def _first_person(match: re.Match[str]) -> str:
    verb = match[2]
    if verb in NO_VERBS or verb in ("is", "has", "does") or verb.endswith("ss"):
        return match[0]
    if re.search(r"(?:ch|sh|ss|x|zz|o)es$", verb):
        return match[1] + verb[:-2]
    return match[1] + (f"{verb[:-3]}y" if verb.endswith("ies") and len(verb) > 4 else verb[:-1])


def _activity(match: re.Match[str]) -> str:
    """`Like to swim` and `like swimming`."""
    stem = match[2] or match[3]
    if match[3] and len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "lsz":
        stem = stem[:-1]
    return f"{match[1]}~{stem.removesuffix('e')}"


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if re.search(r"(?:ch|sh|x|o)es$", word):
        return word[:-2]
    return word.removesuffix("s") if not word.endswith("ss") else word
