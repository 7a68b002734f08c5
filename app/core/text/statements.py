# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Decides which sentences are statements, by rules for common languages.

The rules prefer missing a statement to storing a question, a greeting, thanks or a command as a memory.
"""

import re
from collections.abc import Sequence

from app.core.text.content_words import STOP_WORDS, words
from app.core.text.content_words import WORD as CONTENT_WORD
from app.core.text.sentences import split_sentences
from app.core.text.standing_statements import is_standing

QUESTION = re.compile(r"[?？؟\u037e][!?\s\"'”’»」』）)\]]*$")
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
UNSPACED_SMALL_TALK = re.compile(
    r"(?:こんにちは|こんばんは|おはよう|ありがとう|はい|いいえ|了解|すみません|你好|您好|谢谢|謝謝|早上好|晚上好|再见|好的|是的|"
    r"안녕|감사합니다|고마워|네|สวัสดี|ขอบคุณ).{0,6}|.*(?:吗|嗎|呢|ですか|ますか|ください|教えて|까|해줘|ไหม)|(?:请|請|帮我|幫我|告诉我).*"
)
FORGET_REQUEST = re.compile(r"\b(?:to|please|just|can|must|should) (?:forget|delete|erase|stop remembering)\b", re.I)


SMALL_TALK = words(
    "hi hello hey yo greetings morning good evening afternoon night day welcome bye goodbye cheers thanks thank thx ty",
    "you very much so a lot again there all everyone ok okay yes yeah yep no nope sure fine great cool nice perfect",
    "lol haha hmm sorry please see later soon tomorrow take care how are doing is it going got understood right wow",
    "exactly sounds that this idea me too just the same to your help for it's not bad i'm we're well and",
    "hallo guten morgen abend tag nacht danke vielen dank schön tschüss ja nein bitte gut alles klar servus moin",
    "salut bonjour bonsoir merci beaucoup oui non au revoir bien d'accord coucou bonne journée",
    "hola buenos buenas días dias tardes noches gracias muchas sí si adiós adios vale de nada hasta luego",
    "ciao buongiorno buonasera grazie mille prego sì arrivederci va bene olá ola bom boa dia tarde noite obrigado",
    "obrigada привет здравствуйте спасибо да нет пока хорошо доброе утро добрый день مرحبا شكرا नमस्ते धन्यवाद",
)
THANKS = words("thanks thank thx cheers danke merci gracias grazie obrigado obrigada спасибо شكرا धन्यवाद goodbye")
FIRST_PERSON = words(
    "i i'm i've my mine we we're our ich bin mein meine wir je j'ai j'aime mon ma mes nous yo soy estoy mi mis",
    "tengo sono ho mio mia io eu sou estou meu minha tenho я мой моя мне у мы أنا मैं मेरा मेरी ik ben mijn jag är jeg er",
)
QUESTION_WORDS = words(
    "what when where who whom whose which why how is are am was were do does did can could will would shall should may",
    "might has have had isn't aren't don't doesn't didn't can't couldn't won't wouldn't shouldn't what's who's where's",
    "wer wie wo wann warum wieso weshalb welche welcher welches kannst könntest hast bist magst",
    "pourquoi comment où quand combien quel quelle est-ce peux-tu pouvez-vous",
    "qué cómo cuándo dónde quién cuál puedes podrías perché quando dove chi quale puoi",
    "como onde porque quem почему как где когда кто что هل ما متى أين لماذا كيف क्या कब कहाँ कौन",
)
COMMANDS = words(
    "tell show give write make create find search explain describe help translate summarize summarise calculate",
    "compute convert generate suggest recommend remind forget delete erase remove continue try let send read repeat",
    "rewrite let's fix compare add imagine pretend act ignore say ask define solve think keep recall",
    "sag sage erzähl erzähle zeig zeige gib schreib schreibe mach mache erkläre hilf übersetze vergiss lösche",
    "dis montre donne écris fais explique aide traduis oublie supprime raconte",
    "dime muestra muéstrame dame escribe haz explica ayuda ayúdame traduce olvida borra cuéntame busca",
    "dimmi mostra mostrami dammi scrivi fai spiega aiutami traduci dimentica cancella",
    "diga mostre escreva faça explique ajude traduza esqueça apague",
    "скажи покажи дай напиши сделай объясни помоги переведи забудь удали расскажи",
)
MAY_COMMAND = words(
    "book plan order change look answer draft call open close play set start stop check use go list turn"
)
OBJECTS = words("me a an the my this that these it us some all your for up off on out to")
OPENERS = words(
    "and but so well oh also ok okay hey hi hello then now please und aber hallo bitte et mais y pero e ma и а"
)


def is_statement(sentence: str) -> bool:
    if QUESTION.search(sentence) or sentence.endswith((":", "：")) or FORGET_REQUEST.search(sentence):
        return False
    if UNSPACED.search(sentence):
        bare = sentence.strip(" 。！.!、，,…")
        return len(bare) >= 4 and not UNSPACED_SMALL_TALK.fullmatch(bare)
    spoken = [word.lower().replace("’", "'") for word in WORD.findall(sentence)]
    while spoken and spoken[0] in OPENERS:
        spoken.pop(0)
    return _has_substance(spoken) and not _is_command(spoken) and not _is_question(sentence, spoken)


def _has_substance(spoken: Sequence[str]) -> bool:
    if len(spoken) < 2 or spoken[0] in THANKS or all(word in SMALL_TALK for word in spoken):
        return False
    return len(spoken) > 2 or spoken[0] in FIRST_PERSON


def _is_command(spoken: Sequence[str]) -> bool:
    return spoken[0] in COMMANDS or (spoken[0] in MAY_COMMAND and spoken[1] in OBJECTS)


def _is_question(sentence: str, spoken: Sequence[str]) -> bool:
    """A question without a question mark. `When I was six, …` and `Will is my brother.` are statements."""
    return spoken[0] in QUESTION_WORDS and "," not in sentence and not sentence.rstrip().endswith((".", "!"))


ECHOED = 0.9
"""An answer with this share of its words in what it was given says nothing of its own."""
CLAUSE = re.compile("[,;:，；、،]")
SPEAKER_WORDS = words("i i'm i've ich je j'ai yo я मैं أنا ben")


def states_nothing(text: str) -> bool:
    """Whether every sentence is a question, a greeting, thanks or a command, so that nothing in it is a memory.

    In doubt it states something: "Berlin" may be an answer, and "I have a cat, what does it eat?" tells of a cat."""
    return not is_standing(text) and all(map(_states_nothing, split_sentences(text)))


def _states_nothing(sentence: str) -> bool:
    if UNSPACED.search(sentence):
        bare = sentence.strip(" 。！.!、，,…")
        return UNSPACED_SMALL_TALK.fullmatch(bare) is not None or _only_asks(sentence, [])
    spoken = [word.lower().replace("’", "'") for word in WORD.findall(sentence)]
    while spoken and spoken[0] in OPENERS:
        spoken.pop(0)
    if not spoken or all(word in SMALL_TALK for word in spoken):
        return not re.search(r"\d", sentence)
    if spoken[0] in COMMANDS and len(spoken) > 1:
        return FIRST_PERSON.isdisjoint(spoken) and ":" not in sentence
    return _only_asks(sentence, spoken)


def _only_asks(sentence: str, spoken: Sequence[str]) -> bool:
    if not QUESTION.search(sentence):
        return len(spoken) > 1 and _is_question(sentence, spoken)
    starts_with_question = bool(spoken) and spoken[0] in QUESTION_WORDS
    return starts_with_question or (not CLAUSE.search(sentence) and SPEAKER_WORDS.isdisjoint(spoken[:1]))


def echoes(answer: str, given: Sequence[str]) -> bool:
    """Whether an answer only repeats the memories that it was given: then it is no memory of its own."""
    known = {word for text in given for word in _content(text)}
    content = _content(answer)
    return bool(content) and sum(word in known for word in content) >= ECHOED * len(content)


def _content(text: str) -> list[str]:
    return [word for word in CONTENT_WORD.findall(text.lower()) if word not in STOP_WORDS]
