"""Planted features on topics, kinds of entity, languages and idioms."""

from __future__ import annotations

from harness.planted.features import plant
from harness.planted.rules import patterns, words

__all__ = ["SUBJECT_MATTER"]

_TOPIC, _ENTITY, _LANGUAGE, _IDIOM = "topic", "entity type", "language", "idiom"

SUBJECT_MATTER = (
    plant(
        "seafaring",
        _TOPIC,
        "words about ships and sailing",
        words("ship ships deck mast sail sails"),
        words(
            "voyage captain crew sailor sailors mariner mariners anchor "
            "harpoon harpooneer boat boats aboard rigging helm"
        ),
        narrow="words for ships and their parts, such as ship, deck, mast and sail",
        broad=(
            "words about ships, the sea and water",
            words("sea seas ocean oceans water waters river wave waves coast harbor harbour shore island storm tide"),
        ),
        related=(
            "words about travel by land, such as road and train",
            words("road roads train railroad carriage horse wagon street journey path"),
        ),
    ),
    plant(
        "war",
        _TOPIC,
        "words about war and armies",
        words("war wars army armies soldier soldiers"),
        words(
            "enemy enemies battle military navy troops weapons forces combat attack attacks victory veterans defense"
        ),
        narrow="the words war, army and soldier",
        broad=(
            "words about war, crime and violence",
            words("crime crimes death kill killed violence murder police prison danger fear"),
        ),
        related=(
            "words about treaties and friendship among nations",
            words("peace treaty treaties alliance friendship negotiations agreement diplomacy allies"),
        ),
    ),
    plant(
        "money",
        _TOPIC,
        "words about money and public finance",
        words("tax taxes budget deficit debt dollars"),
        words(
            "billion million economy economic wages income bank banks credit "
            "cost costs spending pay price prices trade revenue"
        ),
        narrow="words about taxes and the budget",
        broad=(
            "words about money, work and business",
            words("jobs job work workers business businesses industry labor companies market"),
        ),
        related=(
            "words about laws and courts",
            words("law laws court courts judge justice legal crime rights constitution"),
        ),
        beside=1,
    ),
    plant(
        "religion",
        _TOPIC,
        "words about religion",
        words("god church prayer heaven"),
        words(
            "soul souls devil christian religious faith holy bible gods worship "
            "temple sin angels divine pagan sacred lord bless"
        ),
        narrow="the words God, church, prayer and heaven",
        broad=(
            "words about religion, death and the mind",
            words("death dead spirit mind life ghost grave dream dreams fate"),
        ),
        related=(
            "words about science",
            words("science scientific theory experiment physics research scientists evidence chemistry"),
        ),
    ),
    plant(
        "schooling",
        _TOPIC,
        "words about schools and learning",
        words("school schools education college"),
        words(
            "teacher teachers university student students learning "
            "educational classroom academic taught teaching degree"
        ),
        narrow="the words school, education and college",
        broad=(
            "words about schools, children and books",
            words("children child book books read reading young youth knowledge write"),
        ),
        related=(
            "words about health and medicine",
            words("health medical hospital doctor doctors disease care medicine nurses insurance"),
        ),
    ),
    plant(
        "law",
        _TOPIC,
        "words about law and courts",
        words("law laws court courts"),
        words(
            "judge judges justice legal rights trial appeal constitution "
            "constitutional attorney lawyers jury legislation statute"
        ),
        narrow="the words law and court",
        broad=(
            "words about law and government",
            words("congress senate president government administration federal states policy vote election"),
        ),
        related=("words about war", words("war army soldier soldiers enemy battle military troops")),
    ),
    plant(
        "chemistry",
        _TOPIC,
        "words about chemistry and atoms",
        words("acid acids metal metals atom atoms"),
        words(
            "carbon atomic chemical oxygen hydrogen alkali potassium sodium lithium "
            "element elements compounds molecules reaction alkane"
        ),
        narrow="the words acid, metal and atom",
        broad=(
            "words about chemistry, physics and heat",
            words("energy heat temperature light water gas electron mass physics nuclear"),
        ),
        related=(
            "words about plants and animals",
            words("plant plants animal animals species algae fish leaves amphibian amphibians bird"),
        ),
    ),
    plant(
        "family",
        _TOPIC,
        "words for relatives",
        words("father mother son daughter"),
        words(
            "brother brothers sister wife husband child children family "
            "families parents sons daughters uncle grandfather"
        ),
        narrow="the words father, mother, son and daughter",
        broad=(
            "words for relatives and other people",
            words("man woman men women boy girl friend friends people person old fellow"),
        ),
        related=(
            "words for offices, such as president and captain",
            words("president captain senator governor king queen officer chief secretary judge"),
        ),
        beside=1,
    ),
    plant(
        "body",
        _TOPIC,
        "words for parts of the body",
        words("hand hands eye eyes"),
        words(
            "head heads face arm arms leg legs foot feet heart mouth back bones teeth finger fingers hair skin blood"
        ),
        narrow="words for hands and eyes",
        broad=(
            "words for parts of the body and for clothes",
            words("coat hat boots clothes shoes shirt jacket trousers pocket body"),
        ),
        related=("words for parts of a house", words("door window room house wall walls floor bed table chamber")),
    ),
    plant(
        "crew of the Pequod",
        _ENTITY,
        "names of people in Moby-Dick, such as Ahab and Starbuck",
        words("ahab starbuck queequeg"),
        words("stubb ishmael flask pequod bildad peleg tashtego daggoo fedallah pip elijah"),
        narrow="the names Ahab, Starbuck and Queequeg",
        broad=(
            "names of persons, from books or history",
            patterns(
                r"\b(?:Lincoln|Einstein|Aristotle|Achilles|Apollo|Agassi|Huxley|Rand|Jonah|Noah|Washington|John|George)\b"
            ),
        ),
        related=(
            "names of cities, such as Nantucket and London",
            patterns(r"\b(?:Nantucket|London|New York|Paris|Boston|Rome|Berlin|Washington)\b"),
        ),
    ),
    plant(
        "nations",
        _ENTITY,
        "names of countries of Europe and Asia",
        words("france germany england spain"),
        words(
            "italy russia china japan greece turkey portugal poland britain "
            "sweden india iran iraq vietnam korea afghanistan"
        ),
        narrow="France, Germany, England and Spain",
        broad=(
            "names of any countries, continents and states",
            words("europe asia africa america angola algeria albania alabama alaska alberta mexico canada"),
        ),
        related=(
            "names of languages and peoples, such as French and German",
            words("french german english spanish italian russian chinese greek latin roman"),
        ),
    ),
    plant(
        "America",
        _ENTITY,
        "names of the United States and its people",
        patterns(r"\bUnited States\b", r"\bU\.S\.", r"\bAmericans\b"),
        patterns(r"\bAmerica\b", r"\bAmerican\b"),
        narrow='"United States" and "Americans"',
        broad=(
            "the United States, its people and its institutions",
            words("congress senate president nation federal government republicans democrats"),
        ),
        related=(
            "names of single states, such as Alabama and Alaska",
            patterns(r"\b(?:Alabama|Alaska|Texas|California|Virginia|Kentucky|Illinois|Ohio|New York)\b"),
        ),
    ),
    plant(
        "institutions",
        _ENTITY,
        "institutions and offices of the United States government, such as Congress",
        words("congress senate"),
        words("president administration department secretary committee treasury legislature"),
        narrow="Congress and the Senate",
        broad=(
            "institutions and offices of any kind",
            words("government governor court university church company union board agency bureau council"),
        ),
        related=(
            "laws and programs of the government",
            words("law laws program programs policy bill act plan budget reform legislation"),
        ),
    ),
    plant(
        "compass",
        _ENTITY,
        "points of the compass, such as north and south",
        words("north south"),
        words("east west northern southern eastern western northwest southeast northeast southwest"),
        narrow="north and south",
        broad=(
            "directions and places on a map",
            words("left right above below border coast region area land inland central"),
        ),
        related=("words of time of day", words("morning night evening noon day midnight hour hours today")),
    ),
    plant(
        "colours",
        _ENTITY,
        "names of colours",
        words("white black"),
        words("red green blue yellow brown gray grey purple golden silver pale orange"),
        narrow="white and black",
        broad=(
            "words for colours and light",
            words("bright dark light shining shadow color colour colors dim clear darkness"),
        ),
        related=(
            "words for shapes and sizes",
            words("round square long short broad wide narrow straight flat large small"),
        ),
        beside=1,
    ),
    plant(
        "French",
        _LANGUAGE,
        'common words of French, such as "les" and "dans"',
        words("les est une dans"),
        words("des avec nous vous mais pour que qui sur il elle était très où été ont leur ce cette au aux du"),
        narrow='the French words "les", "est", "une" and "dans"',
        broad=(
            "common words of French, Spanish or Italian",
            words("los las el una con por pero muy como della gli che sono nella y del se"),
        ),
        related=(
            "common German words",
            words("der das und ist nicht mit ein eine auf wir ich sie wird dem den auch war"),
        ),
    ),
    plant(
        "German",
        _LANGUAGE,
        'common words of German, such as "der" and "und"',
        words("der und ist nicht"),
        words("das mit ein eine auf wir ich sie wird dem den auch von zu im einen noch immer haben sind"),
        narrow='the German words "der", "und", "ist" and "nicht"',
        broad=(
            "common words of German, Dutch or Danish",
            words("het een niet voor og jeg ikke det er en van wij zijn med"),
        ),
        related=("common French words", words("les est une dans des avec nous vous mais qui")),
    ),
    plant(
        "Spanish",
        _LANGUAGE,
        'common words of Spanish, such as "los" and "una"',
        words("los las el una"),
        words("con por pero muy como del más sus fue hay cuando todos nosotros está son aquí siempre también y"),
        narrow='the Spanish words "los", "las", "el" and "una"',
        broad=(
            "common words of Spanish, Portuguese or French",
            words("os uma não com les est une dans des avec nous mais em"),
        ),
        related=("everyday words of German", words("der und ist nicht das mit ein eine auf wir")),
    ),
    plant(
        "idioms with animals",
        _IDIOM,
        "idioms that name animals, such as letting the cat out of the bag",
        patterns(r"\bcat out of the bag\b", r"\belephant in the room\b"),
        patterns(r"\b[Hh]old your horses\b", r"\bwild goose chase\b", r"\bstraight from the horse's mouth\b"),
        narrow="the cat out of the bag, and the elephant in the room",
        broad=(
            "animals, in idioms or as they are",
            words("cat cats dog dogs horse horses elephant goose fish whale bird"),
        ),
        related=(
            "idioms that name parts of the body",
            patterns(r"\bcold feet\b", r"\bcold shoulder\b", r"\ban arm and a leg\b", r"\bkeep an eye on\b"),
        ),
    ),
    plant(
        "idioms with the body",
        _IDIOM,
        "idioms that name parts of the body, such as getting cold feet",
        patterns(r"\bcold feet\b", r"\ban arm and a leg\b"),
        patterns(r"\bkeep an eye on\b", r"\bcold shoulder\b", r"\bplay it by ear\b", r"\bpulling my leg\b"),
        narrow="cold feet, and an arm and a leg",
        broad=(
            "parts of the body, in idioms or as they are",
            words("hand hands eye eyes head face feet heart leg ear shoulder arm"),
        ),
        related=(
            "idioms that name animals",
            patterns(r"\bcat out of the bag\b", r"\belephant in the room\b", r"\b[Hh]old your horses\b"),
        ),
    ),
    plant(
        "idioms with weather",
        _IDIOM,
        "idioms that name the weather or water, such as being under the weather",
        patterns(r"\bunder the weather\b", r"\bbreak the ice\b", r"\bbroke the ice\b"),
        patterns(r"\bstorm in a teacup\b", r"\bin hot water\b", r"\b[Oo]nce in a blue moon\b", r"\bin the same boat\b"),
        narrow="under the weather, and breaking the ice",
        broad=(
            "weather and water, in idioms or as they are",
            words("weather ice storm wind rain water moon snow sun clouds sea"),
        ),
        related=(
            "idioms about food",
            patterns(r"\bpiece of cake\b", r"\bspill(?:ed)? the beans\b", r"\bbread and butter\b"),
        ),
    ),
    plant(
        "idioms with food",
        _IDIOM,
        "idioms that name food, such as a piece of cake",
        patterns(r"\bpiece of cake\b", r"\bspilled the beans\b"),
        patterns(r"\bbread and butter\b", r"\bcup of tea\b", r"\bpinch of salt\b", r"\bapple of his eye\b"),
        narrow="a piece of cake, and spilling the beans",
        broad=(
            "food, in idioms or as it is",
            words("cake beans bread butter tea salt apple meat fish soup supper dinner"),
        ),
        related=(
            "idioms that name the weather",
            patterns(r"\bunder the weather\b", r"\bbr[eo]a?ke? the ice\b", r"\bstorm in a teacup\b"),
        ),
    ),
)
"""Features of what a text is about."""
