"""Words of English that decide whether a statement has one value at a time."""

import re

from app.core.text.content_words import words


def either(*groups: str) -> str:
    """A regular expression for one of the words, the longest first."""
    return "|".join(sorted(map(re.escape, words(*groups)), key=len, reverse=True))


FUNCTIONAL_NOUNS = words(
    "name surname nickname age birthday birthplace birthdate address email e-mail phone number username handle",
    "password passcode pin job employer company workplace boss occupation profession title role position wife",
    "husband spouse fiancé fiancée girlfriend boyfriend status weight height size salary income budget rent price",
    "cost fee deadline date time timezone version owner author capital currency language religion nationality",
    "citizenship president chancellor king queen mayor governor minister premier ceo cto cfo director chairperson",
    "chairman chairwoman chair coach captain leader head headquarters type genre color colour brand model editor",
    "publisher broadcaster producer manufacturer developer founder creator composer continent country city",
    "hometown residence home landlord dentist gp therapist mood temperature score rank rating speed limit",
    "plan theme mascot motto anthem population seat university school employer supervisor manager advisor adviser",
    "roommate flatmate carrier",
)
"""Nouns of which a thing or a person has one at a time, for which the noun alone allows a replacement."""
PLAIN_NOUNS = words(
    "type genre color colour price cost fee status language religion currency password passcode pin size height",
    "weight age temperature speed limit score rank rating version deadline date time salary income budget rent",
    "number phone birthday name surname nickname username handle email e-mail address nationality citizenship",
    "timezone model",
)
"""Those of them whose values need not be names: another word is another value."""
CONTACT_NOUNS = words("email e-mail phone number address username handle name surname nickname")
"""Those whose values are names or numbers: `my phone is slow` tells no other number."""
MANY_NOUNS = words(
    "brother sister son daughter child kid friend colleague coworker cousin aunt uncle nephew niece grandchild",
    "neighbor neighbour cat dog pet hobby goal interest skill fan member part result reason purpose problem",
    "example one thing way idea memory story book song movie film photo picture painting gift trip side kind",
    "piece part step option feature experience student teacher employee player tool team day night evening",
    "weekend week rest best worst most point lesson moment character actor actress guest customer client project",
    "meaning value benefit advantage",
)
PERSON_NOUNS = words(
    "wife husband spouse fiancé fiancée girlfriend boyfriend boss landlord dentist doctor gp therapist coach captain",
    "president director mayor leader editor producer author founder creator composer owner supervisor manager advisor",
    "adviser roommate flatmate",
)
ADJECTIVES = words(
    "african american arab argentinian armenian asian australian austrian belgian brazilian british bulgarian",
    "canadian chilean chinese colombian croatian cuban czech danish dutch egyptian english ethiopian european filipino",
    "finnish french german greek hungarian indian indonesian iranian iraqi irish israeli italian jamaican",
    "japanese kenyan korean kurdish lebanese mexican moroccan nigerian norwegian pakistani persian peruvian polish",
    "portuguese romanian russian scottish serbian slovak slovenian spanish swedish swiss syrian taiwanese thai turkish",
    "ukrainian venezuelan vietnamese welsh buddhist catholic christian hindu jewish muslim orthodox protestant sikh",
)
NOT_PLACES = words(
    "linux ubuntu debian fedora windows mac macos android ios iphone chrome firefox safari edge gmail outlook slack",
    "teams zoom notion jira github gitlab postgres mysql kubernetes docker aws azure gcp python rust java typescript",
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august",
    "september october november december sales marketing engineering management plan gate room seat table page chapter",
)
"""`We moved to Linux`: what people move to without moving house."""
CLASS_NOUNS = words(
    "city town village country state continent region province county district island religion faith church sport",
    "language field position genre rank department industry profession occupation party league month year",
)
"""`in the city of`, `with the sport of`: the class says that one value follows."""
MADE_BY = words(
    "founded created developed written performed directed invented produced painted composed designed built owned",
    "published led discovered sung recorded illustrated manufactured established authored chaired headed coached",
)
STATUS_GROUPS = {
    "marriage": words("single married engaged divorced widowed separated"),
    "diet": words("vegetarian vegan pescatarian omnivore"),
    "employment": words("employed unemployed retired self-employed jobless"),
    "pregnancy": words("pregnant"),
    "progress": words("pending done finished completed cancelled canceled delayed paused postponed ongoing underway"),
    "opening": words("open closed"),
    "presence": words("online offline available unavailable"),
    "activity": words("active inactive enabled disabled"),
}
STATUS_OF = {word: group for group, members in STATUS_GROUPS.items() for word in members}
LIKES = words("like likes love loves enjoy enjoys adore adores")
DISLIKES = words("dislike dislikes hate hates detest detests loathe loathes")
USES = words(
    "use using work live drive drink read play study eat prefer pay bank shop train learn take watch write code ride",
    "program run have own wear be subscribe favorite favourite",
)
"""Verbs after which a thing may be exchanged: `I switched from tea to coffee` replaces `I drink tea`."""
COUNTRIES = words(
    "afghanistan algeria argentina armenia australia austria bangladesh belarus belgium bolivia brazil bulgaria",
    "cameroon canada chile china colombia croatia cuba cyprus czechia denmark ecuador egypt england estonia",
    "ethiopia finland france georgia germany ghana greece guatemala hungary iceland india indonesia iran iraq",
    "ireland israel italy jamaica japan jordan kazakhstan kenya korea kuwait latvia lebanon libya lithuania",
    "luxembourg malaysia malta mexico moldova mongolia montenegro morocco myanmar nepal netherlands nicaragua",
    "nigeria norway pakistan palestine panama paraguay peru philippines poland portugal qatar romania russia",
    "scotland senegal serbia singapore slovakia slovenia somalia spain sudan sweden switzerland syria taiwan",
    "tanzania thailand tunisia turkey türkiye uganda ukraine uruguay usa uk us uzbekistan venezuela vietnam wales",
    "yemen zambia zimbabwe europe asia africa america oceania deutschland frankreich österreich schweiz spanien",
    "italien türkei russland españa alemania francia méxico 中国 德国 法国 日本 美国 英国 россия германия франция",
    "almanya fransa भारत जर्मनी ألمانيا فرنسا مصر",
)
"""`I live in Germany` does not contradict `I live in Berlin`."""
STOP_WORDS = words(
    "i me my mine we our user the a an to of in at on for by with from am is are was were be been being do does",
    "did not have has had that this it its it's and so just very really quite much now currently anymore longer",
    "any more no there here as myself user's",
)
