# ruff: noqa: RUF001  (letters and punctuation of other scripts are intended)
"""Which statements are standing: an instruction or a preference that applies to every answer (pure).

The rules cover English, German, Spanish, Turkish, Chinese, Hindi, Russian and Arabic. They prefer missing a statement
to marking an ordinary one: what is marked is part of every prompt of its profile.
"""

import re

MAX_EXCERPT = 500
"""Characters of a memory that is shown whole. Of a longer one, only the sentences that state something standing."""
_NO_VERB = (
    r"(?:\w+ing|\w+ed|a|an|the|in|at|on|up|been|had|has|have|was|were|is|are|saw|seen|went|got|knew|thought|did|made"
    r"|came|took|heard|said|say never|give up|again|before|once|here|there|down|good|great|nice|fun|happy|glad|love"
    r"|loved|more|mind|ever|so|too|not|just|nervous|busy|tired|hungry|ready|late|on time)\b"
)
"""What follows "always" and "never" where they are no instruction: "Always happy to help", "Never saw this coming"."""
_ALWAYS = (
    rf"(?:always|never) (?!{_NO_VERB})\w+|from now on|going forward|in (?:the )?future,"
    r"|(?:whenever|every time|each time|any ?time) i (?:ask|say|mention|request|want|need|write|send|share|paste)"
)
_FORM = r"answer|reply|respond|write|speak|talk|explain|format|summari[sz]e"
_DIET = r"vegetarian|vegan|pescatarian|diabetic|coeliac|celiac|lactose[- ]intolerant|gluten[- ](?:free|intolerant)"
_CONDITION = rf"(?:{_DIET}|colou?r[- ]?blind|dyslexic|deaf|blind|hard of hearing|(?:\w+ly )?allergic)\b"
# At the beginning of a sentence, after words such as "please".
_ORDERS = (
    rf"(?:{_ALWAYS})\b",
    rf"(?:{_FORM})(?: to)?(?: me| everything| all)?(?: only| always)? (?:in|with|using|as|briefly|concisely|like)\b",
    r"(?:use|keep|avoid|include|don'?t use|do not use|stop using) .*\b(?:answers?|repl(?:y|ies)|responses?|with me)\b",
    r"(?:call|address) me (?!back\b|at\b|on\b|when\b|if\b|later\b|tomorrow\b|a\b|an\b)\w",
    (
        r"(?:immer|niemals|nie|ab (?:jetzt|sofort)|künftig|in zukunft|(?:antworte|schreib|sprich"
        r"|erklär)e?\b.*\b(?:auf|in|mit)\b|nenn(?:e)? mich)\b"
    ),
    (
        r"(?:siempre|nunca|a partir de ahora|de ahora en adelante|(?:responde|contesta|escribe|háblame"
        r"|habla)(?:me)?\b.*\b(?:en|con)\b|llámame)\b"
    ),
    (
        r"(?:her zaman|daima|asla|bundan sonra|bundan böyle|.*(?:cevap ver|yanıtla|yanıt ver|cevapla)\b"
        r"|bana \w+ (?:de|diye hitap et)\b)"
    ),
    r"(?:总是|始终|一直用|永远|绝不|从现在开始|从今以后|以后(?:都)?(?:请)?|用.{1,12}(?:回答|回复)|叫我|称呼我)",
    r"(?:हमेशा|कभी (?:भी )?(?:नहीं|मत)|अब से|आगे से|.*में (?:ही )?(?:जवाब|उत्तर) (?:दो|दें|दीजिए|देना))",
    (
        r"(?:всегда|никогда|отныне|впредь|с этого момента|(?:отвечай|отвечайте|пиши|пишите|говори"
        r"|говорите) (?:мне )?(?:на|в|только|по|кратко|коротко)\b|(?:зови|называй|зовите|называйте) меня)"
    ),
    r"(?:دائما|دائمًا|أبدا|أبدًا|من الآن فصاعد|لا تستخدم|(?:أجب|اكتب|تحدث|رد)(?:ني)?(?: علي)? ?(?:ب|في|دائم)|نادني)",
)
_POLITE = (
    r"(?:(?:and|so|but|oh|ok|okay|also|hey|hi|please|kindly|just|bitte|por favor|lütfen|请|請|कृपया|пожалуйста"
    r"|من فضلك|رجاء)[,，:\s]*)*"
)
ORDER = re.compile(rf"^[\s\"'“”*-]*{_POLITE}(?:{'|'.join(_ORDERS)})", re.IGNORECASE)
# Anywhere in a sentence.
_WISHES = (
    r"\bi(?:'d| would| do)?(?: \w+ly| always| usually| much| still| strongly)? prefer\b(?! not to (?:say|answer))",
    r"\bmy (?:strong |personal )?preference (?:is|for)\b|\bi(?:'d| would) rather (?:you|have|get)\b",
    (
        r"\bi (?:like|want|need|expect) (?:all |every )?(?:of )?(?:my|your|the) (?:answers|replies|responses"
        r"|explanations|summaries)\b"
    ),
    rf"\b(?:i am|i'm) (?:a |an )?(?:strict )?{_CONDITION}|\bi have (?:a |an )?(?:\w+ ){{0,3}}(?:allergy|intolerance)\b",
    r"\bi (?:don'?t|do not|can'?t|cannot|never) (?:eat|drink)\b",
    (
        r"\b(?:the )?user (?:\w+ly )?(?:prefers|always wants|never wants|wants (?:all |every )?(?:answers|replies"
        r"|responses)|dislikes|avoids)\b"
    ),
    (
        rf"\b(?:the )?user (?:is (?:a |an )?(?:strict )?{_CONDITION}|does(?: not|n't) (?:eat|drink)\b|has (?:a "
        rf"|an )?(?:\w+ ){{0,3}}allergy\b)"
    ),
    r"\b(?:the )?user (?:wants|asks|would like|likes) to be (?:called|addressed)\b",
    (
        r"\bich bevorzuge\b|\bich (?:esse|trinke) kein|\bich bin (?:\w+ )?(?:vegetarier|veganer|vegan\b|vegetarisch"
        r"|allergisch|diabetiker)|\bmir (?:ist|sind) .* lieber\b|\bich hätte (?:gern|lieber) (?:antworten|alle)"
    ),
    (
        r"\b(?:yo )?prefiero\b|\bpreferiría\b|\bno (?:como|bebo)\b|\bsoy (?:\w+ )?(?:vegetarian|vegan|alérgic|celíac"
        r"|diabétic|intolerante)"
    ),
    (
        r"\btercih (?:ederim|ediyorum)\b|\b(?:vejetaryenim|veganım|alerjim var|alerjiğim|çölyak hastasıyım)\b"
        r"|\b(?:yemem|yemiyorum|içmem|içmiyorum)\b"
    ),
    r"我(?:更|比较|还是)?(?:喜欢用|偏好|倾向于)|我(?:更喜欢|宁愿|宁可)|我是(?:素食|纯素)|我对.{1,12}过敏|我不(?:吃|喝)",
    (
        r"(?:मुझे|मैं).*(?:पसंद करता|पसंद करती|ज़्यादा पसंद|ज्यादा पसंद|प्राथमिकता)|मैं .*(?:शाकाहारी|वीगन)"
        r"|मुझे .*एलर्जी|मैं .*नहीं (?:खाता|खाती|पीता|पीती)"
    ),
    (
        r"\b(?:я )?предпочитаю\b|\bмне больше нравится, когда\b|\bя (?:\w+ )?(?:вегетариан|веган|диабетик)"
        r"|\bу меня (?:\w+ )?аллергия\b|\bя не (?:ем|пью)\b"
    ),
    (
        r"(?:^|\s)(?:أنا )?أفضل(?: أن|\s)|(?:^|\s)أنا (?:نباتي|نباتية)|(?:لدي|عندي) حساسية|(?:^|\s)(?:أنا )?لا (?:آكل"
        r"|أشرب)"
    ),
)
WISH = re.compile("|".join(_WISHES), re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.!?…؟])\s+|(?<=[。！？।])|\n+")
MAX_SENTENCE = 1000
"""A longer one is no statement of a wish, and would cost the patterns too much."""
# A question about a preference states none: "Do you know what I prefer?"
ASKS = re.compile(
    r"\b(?:what|which|why|when|where|how|whether|if|do|did)\b(?: \w+){0,3} i(?: \w+ly)? prefer\b", re.IGNORECASE
)


def is_standing(text: str) -> bool:
    return any(map(_states_standing, _sentences(text)))


def standing_excerpt(text: str) -> str:
    """The part of a memory that a prompt shows: all of a short one, the standing sentences of a long one."""
    if len(text) <= MAX_EXCERPT:
        return text
    return (" ".join(filter(_states_standing, _sentences(text))) or text)[:MAX_EXCERPT]


def _sentences(text: str) -> list[str]:
    plain = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [sentence.strip() for sentence in SENTENCE_END.split(plain)]


def _states_standing(sentence: str) -> bool:
    if not sentence or len(sentence) > MAX_SENTENCE:
        return False
    if ORDER.search(sentence) and not sentence.endswith(("?", "？", "؟")):
        return True
    return WISH.search(sentence) is not None and not ASKS.search(sentence)
