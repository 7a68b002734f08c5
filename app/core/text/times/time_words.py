# ruff: noqa: RUF001  (letters of other scripts are intended)
"""How eight languages name a time of the past: patterns over folded text (see folding.py).

`{n}` stands for a number, `{unit}`, `{month}`, `{weekday}` and `{season}` for the words of the language.
"""

from typing import NamedTuple

UNITS = ("day", "week", "month", "year", "weekend")


class TimeWords(NamedTuple):
    script: str
    """Any letter of it."""
    days: tuple[str, str, str]
    """Today, yesterday, the day before yesterday."""
    units: tuple[str, str, str, str, str]
    """In the order of UNITS."""
    numbers: str
    """One to twelve."""
    months: str
    """January to December."""
    weekdays: str
    """Monday to Sunday."""
    seasons: str
    """Spring, summer, autumn, winter."""
    last: str
    """The previous `{unit}`."""
    this: str
    ago: str
    within: str
    """The last `{n}` of a `{unit}`."""
    recently: str
    last_named: str
    """The last `{weekday}` or `{season}`."""
    month: str = r"\b{month}\b"
    """A month without a day or a year. In some languages the name alone also means something else."""
    year: str = r"\b(?:in|of|during|since|before|after|by|until) {year}\b"
    date: tuple[str, ...] = (
        r"(?<!\w){day}(?:st|nd|rd|th|\.)? (?:of |de )?{month}(?!\w)(?:,?(?: of| del?)? {year})?",
        r"(?<!\w){month} {day}(?:st|nd|rd|th)?(?![\d:])(?:,? ?{year})?",
        r"(?<!\w){month},?(?: of| del?)? {year}",
        r"(?<!\w){year} {month}",
    )
    until: str = r"(?!)"
    """At the end of what comes before the time, or at the beginning of what comes after it."""
    since: str = r"(?!)"


ENGLISH = TimeWords(
    script="[a-z]",
    days=(
        r"\b(?:today|tonight|this (?:morning|afternoon|evening))\b",
        r"\b(?:yesterday|last night)\b",
        r"\bday before yesterday\b",
    ),
    units=("days?", "weeks?", "months?", "years?", "weekends?"),
    numbers="a|one two three four five six seven eight nine ten eleven twelve",
    months="january february march april may june july august september october november december",
    weekdays="monday tuesday wednesday thursday friday saturday sunday",
    seasons="spring summer autumn|fall winter",
    last=r"\b(?:last|previous) {unit}\b",
    this=r"\bthis {unit}\b",
    ago=r"\b{n} {unit} ago\b",
    within=r"\b(?:in|over|during|for|within) the (?:last|past)(?: {n}| few| couple of)? {unit}\b",
    recently=r"\b(?:recently|lately)\b",
    last_named=r"\blast (?:{weekday}|{season})\b",
    month=r"\b(?:in|during|since|before|after|until|of|last|this|early|late|mid) {month}\b",
    until=r"\b(?:before|until|prior to|by)(?: the)? $",
    since=r"\b(?:since|after)(?: the)? $",
)
GERMAN = TimeWords(
    script="[a-z]",
    days=(r"\bheute\b", r"\bgestern\b", r"\bvorgestern\b"),
    units=("tage?n?", "wochen?", "monate?[ns]?", "jahre?[ns]?", "wochenenden?"),
    numbers="ein(?:e[mnr]?)? zwei drei vier funf sechs sieben acht neun zehn elf zwolf",
    months="januar februar marz april mai juni juli august september oktober november dezember",
    weekdays="montag dienstag mittwoch donnerstag freitag samstag|sonnabend sonntag",
    seasons="fruhling|fruhjahr sommer herbst winter",
    last=r"\b(?:letzte|vorige|vergangene)[mnrs]? {unit}\b",
    this=r"\bdiese[mnrs]? {unit}\b",
    ago=r"\bvor {n} {unit}\b",
    within=r"\b(?:in|wahrend) de[nrm] (?:letzten|vergangenen)(?: {n}| paar)? {unit}\b",
    recently=r"\b(?:kurzlich|neulich|in letzter zeit)\b",
    last_named=r"\b(?:letzte|vorige|vergangene)[mnrs]? (?:{weekday}|{season})\b",
    month=r"\b(?:im|seit|vor|nach|ab|bis|letzten|diesen|ende|anfang|mitte) {month}\b",
    year=r"\b(?:im jahre?|in|seit|vor|nach|ende|anfang) {year}\b",
    until=r"\b(?:vor|bis)(?: (?:zu[mr]|de[mr]))? $",
    since=r"\b(?:seit|nach|ab)(?: de[mr])? $",
)
SPANISH = TimeWords(
    script="[a-z]",
    days=(r"\bhoy\b", r"\b(?:ayer|anoche)\b", r"\b(?:anteayer|antier|antes de ayer)\b"),
    units=("dias?", "semanas?", "mes(?:es)?", "anos?", "fin(?:es)? de semana"),
    numbers="una?|un dos tres cuatro cinco seis siete ocho nueve diez once doce",
    months="enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre",
    weekdays="lunes martes miercoles jueves viernes sabado domingo",
    seasons="primavera verano otono invierno",
    last=r"\b(?:la |el )?(?:{unit} (?:pasad[oa]|anterior)\b)",
    this=r"\best[ea] {unit}\b",
    ago=r"\bhace {n} {unit}\b",
    within=r"\b(?:en|durante) (?:los|las|el|la) ultim[oa]s?(?: {n})? {unit}\b",
    recently=r"\b(?:recientemente|ultimamente|hace poco)\b",
    last_named=r"\b(?:{weekday}|{season}) pasad[oa]\b",
    month=r"\b(?:en|desde|hasta|antes de|despues de|mes de|principios de|finales de) {month}\b",
    year=r"\b(?:en|de|desde|hasta|ano) {year}\b",
    until=r"\b(?:antes de|hasta)(?:l| el| la)? $",
    since=r"\b(?:desde|despues de)(?:l| el| la)? $",
)
TURKISH = TimeWords(
    script="[a-z]",
    days=(
        r"\bbugun\b|\bbu (?:sabah|aksam|gece)\b",
        r"\bdun(?:ku)?\b",
        r"\b(?:evvelsi|evvelki|onceki) gun\b",
    ),
    units=("gun(?:ler)?", "hafta(?!\\s?son)(?:lar)?", "ay(?:lar)?", "(?:yil|sene)(?:ler|lar)?", "hafta\\s?sonu"),
    numbers="bir iki uc dort bes alti yedi sekiz dokuz on on\\s?bir on\\s?iki",
    months="ocak subat mart nisan mayis haziran temmuz agustos eylul ekim kasim aralik",
    weekdays="pazartesi sali carsamba persembe cuma(?!rtesi) cumartesi pazar(?!tesi)",
    seasons="(?:ilk)?bahar yaz (?:son)bahar|guz kis",
    last=r"\b(?:gecen|onceki) {unit}(?:ki|da|dan|nda|ndan|in)?\b",
    this=r"\bbu {unit}(?:ki|da|in)?\b",
    ago=r"\b{n} {unit} once\b",
    within=r"\bson (?:{n} |birkac )?{unit}(?:d[ae]|icinde|[iu]n|nda)?\b",
    recently=r"\b(?:son zamanlarda|yakinlarda|gecenlerde)\b",
    last_named=r"\bgecen (?:{weekday}|{season})\b",
    month=r"\b(?:{month}'?(?:ta|te|da|de|tan|ten|dan|den)|{month} ay(?:i|inda|indan))\b",
    year=r"\b{year}(?:'?(?:da|de|ta|te|dan|den|tan|ten)| yil(?:i|inda|indan))\b",
    until=r"^(?:'?[dt][ae]n)? once\b",
    since=r"^(?:'?[dt][ae]n)? (?:beri|sonra)\b",
)
CHINESE = TimeWords(
    script="[\u3400-\u9fff]",
    days=("今(?:天|日|早|晚)", "昨(?:天|日|晚|夜)", "前天"),
    units=("[天日]", "(?:个)?(?:周(?!末)|星期|礼拜)", "个?月", "年", "(?:个)?周末"),
    numbers="[一1] [二两兩] 三 四 五 六 七 八 九 十 十一 十二",
    months="一|0?1 二|0?2 三|0?3 四|0?4 五|0?5 六|0?6 七|0?7 八|0?8 九|0?9 十|10 十一|11 十二|12",
    weekdays="一 二 三 四 五 六 [日天]",
    seasons="春[天季]? 夏[天季]? 秋[天季]? 冬[天季]?",
    last="(?:上|去(?=年)|前一){unit}(?![一二三四五六日天])",
    this="(?:这|這|本|今(?=年)){unit}",
    ago="{n}(?!月){unit}(?:之|以)?前",
    within="(?:最近|过去|過去|近)(?:的)?(?:{n}|几){unit}",
    recently="最近(?![一二两三四五六七八九十几\\d])|近来",
    last_named="上个?(?:(?:周|星期|礼拜){weekday})|(?:去年|上个){season}",
    month="(?<![\\d一二三四五六七八九十个]){month}月份?",
    year="{year}年",
    date=("{year}年{month}月(?:{day}[日号])?", "(?<!\\d){month}月{day}[日号]"),
    until="^(?:之|以)?前",
    since="^(?:以来|之后|以后|后|起)",
)
HINDI = TimeWords(
    script="[\u0900-\u097f]",
    days=("(?<!\\w)आज(?!\\w)", "(?<!\\w)कल(?!\\w)(?!.*(?:गा|गे|गी)(?!\\w))", "(?<!\\w)परसों(?!\\w)"),
    units=("दिन(?:ों)?", "(?:हफ्त[ेाो]ं?|सप्ताह(?:ों)?)", "महीन[ेाो]ं?", "(?:साल(?:ों)?|वर्ष(?:ों)?)", "(?:वीकेंड|सप्ताहांत)"),
    numbers="एक दो तीन चार पांच|पाँच छह|छः|छे सात आठ नौ दस ग्यारह बारह",
    months="जनवरी फरवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर|सितम्बर अक्टूबर|अक्तूबर नवंबर|नवम्बर दिसंबर|दिसम्बर",
    weekdays="सोमवार मंगलवार बुधवार गुरुवार|बृहस्पतिवार शुक्रवार शनिवार रविवार|इतवार",
    seasons="वसंत|बसंत गर्मी|गर्मियों शरद|पतझड़ सर्दी|सर्दियों",
    last="(?<!\\w)(?:पिछल[ेीा]|गत) {unit}(?!\\w)",
    this="(?<!\\w)(?:इस|इसी) {unit}(?!\\w)",
    ago="{n} {unit} पहले(?!\\w)",
    within="(?<!\\w)(?:पिछल[ेीा]|बीते) (?:{n}|कुछ) {unit}(?!\\w)",
    recently="(?<!\\w)(?:हाल ही में|हाल में)(?!\\w)",
    last_named="(?<!\\w)(?:पिछल[ेीा]|गत) (?:{weekday}|{season})(?!\\w)",
    month="(?<!\\w){month}(?!\\w)",
    year="(?<!\\w){year}(?= (?:में|से|के)(?!\\w))",
    until="^ (?:से|के) पहले(?!\\w)",
    since="^ (?:के बाद|से)(?!\\w)",
)
RUSSIAN = TimeWords(
    script="[\u0400-\u04ff]",
    days=(r"\bсегодня(?:шн\w+)?\b", r"\bвчера(?:шн\w+)?\b", r"\bпозавчера\b"),
    units=("(?:день|дня|днеи)", "недел[ьюяеи]", "месяц(?:а|ев|е)?", "(?:год[ау]?|лет)", "выходны[ехм]"),
    numbers="од(?:ин|ну|на) дв[ае] три четыре пять шесть семь восемь девять десять одиннадцать двенадцать",
    months=(
        "январ[ьяе] феврал[ьяе] март[ае]? апрел[ьяе] ма[ияе] июн[ьяе] июл[ьяе] август[ае]? сентябр[ьяе] октябр[ьяе]"
        " ноябр[ьяе] декабр[ьяе]"
    ),
    weekdays="понедельник вторник сред[ауы] четверг пятниц[ауы] суббот[ауы] воскресенье",
    seasons="весн(?:а|ои|у) лет(?:о|ом) осень(?:ю)? зим(?:а|ои|у)",
    last=r"\bпрошл(?:ом|ои|ая|ую|ыи|ое|ые|ых|ого) {unit}\b",
    this=r"\bэт(?:ом|ои|а|у|от|их|и|ого) {unit}\b",
    ago=r"\b(?:{n} )?{unit} (?:тому )?назад\b",
    within=r"\bза последн(?:ие|юю|ии|ее)(?: {n}| несколько)? {unit}\b",
    recently=r"\b(?:недавно|в последнее время)\b",
    last_named=r"\bпрошл(?:ыи|ую|ое|ои|ым|ом|ая) (?:{weekday}|{season})\b",
    year=r"\b(?:в|с|до|после|за) {year}\b",
    until=r"\b(?:до|перед) $",
    since=r"\b(?:с|со|после|начиная с) $",
)
ARABIC = TimeWords(
    script="[\u0600-\u06ff]",
    days=(r"(?<!\w)اليوم(?! ال)(?!\w)", r"(?<!\w)(?:امس|البارحة|مبارح)(?!\w)", r"(?<!\w)اول (?:امس|البارحة)(?!\w)"),
    units=(
        "(?:ال)?(?:يوم(?:ين)?|ايام)",
        "(?:ال)?(?:اسبوع(?:ين)?|اسابيع)",
        "(?:ال)?(?:شهر(?:ين)?|اشهر|شهور)",
        "(?:ال)?(?:سنة|سنتين|سنوات|سنين|عام(?:ين)?|اعوام)",
        "عطلة نهاية الاسبوع",
    ),
    numbers=r"واحدة? اثن(?:ين|ان|تين) ثلاثة? اربعة? خمسة? ستة? سبعة? ثماني?ة? تسعة? عشرة? احد\sعشر اثنا\sعشر",
    months=(
        r"يناير|كانون\sالثاني فبراير|شباط (?<=في\s)مارس|(?<=شهر\s)مارس|اذار ابريل|نيسان مايو|ايار يونيو|حزيران"
        r" يوليو|تموز اغسطس|(?<=شهر\s)اب سبتمبر|ايلول اكتوبر|تشرين\sالاول نوفمبر|تشرين\sالثاني ديسمبر|كانون\sالاول"
    ),
    weekdays="الاثنين الثلاثاء الاربعاء الخميس الجمعة السبت الاحد",
    seasons="الربيع الصيف الخريف الشتاء",
    last=r"(?<!\w){unit} (?:الماضي|الماضية|الفائت|الفائتة|السابق|السابقة|المنصرم)(?!\w)",
    this=r"(?<!\w)هذ[اه]ه? {unit}(?!\w)(?! الماضي)",
    ago=r"(?<!\w)(?:قبل|منذ) (?:{n} )?{unit}(?!\w)",
    within=r"(?<!\w)(?:خلال|في) {unit}(?: ال{n})? (?:الماضية|الاخيرة)(?!\w)|(?<!\w)اخر (?:{n} )?{unit}(?!\w)",
    recently=r"(?<!\w)(?:مؤخرا|موخرا|في الاونة الاخيرة)(?!\w)",
    last_named=r"(?<!\w)(?:{weekday}|{season}) (?:الماضي|الفائت)(?!\w)",
    month=r"(?<!\w)(?:ب)?{month}(?!\w)",
    year=r"(?<!\w)(?:عام|سنة|في|منذ|قبل|بعد) {year}(?!\w)",
    until=r"(?<!\w)(?:قبل|حتى)(?: شهر)? $",
    since=r"(?<!\w)(?:منذ|بعد)(?: شهر)? $",
)
TIME_WORDS = (ENGLISH, GERMAN, SPANISH, TURKISH, CHINESE, HINDI, RUSSIAN, ARABIC)
