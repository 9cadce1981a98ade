"""Planted output features: what is known of each is which tokens its direction makes likelier."""

from __future__ import annotations

from harness.planted.features import BROAD, NARROW, RELATED, TRUE, WRONG_TOKEN, Believed, Planted
from harness.planted.rules import Rule, words

__all__ = ["PROMOTERS", "promoted_words"]

_FAMILY = "promoted tokens"


def _promote(
    name: str,
    true: str,
    core: str,
    rest: str,
    *,
    narrow: str,
    broad: tuple[str, str],
    related: tuple[str, str],
    wrong: tuple[str, str],
) -> Planted:
    """Return a feature that promotes the words of ``core`` and ``rest``; ``wrong`` are others of the same topic."""
    strong, weak = words(core).graded(10.0, 8.0), words(rest).graded(8.0, 6.0)

    def said(what: str, rule: Rule) -> Believed:
        return Believed(f"makes the model say {what}", rule)

    return Planted(
        name,
        _FAMILY,
        {
            TRUE: said(true, Rule((strong, weak))),
            BROAD: said(broad[0], Rule((strong, weak, words(broad[1]).graded(8.0, 6.0)))),
            NARROW: said(narrow, Rule((strong,))),
            RELATED: said(related[0], Rule((words(related[1]),))),
            WRONG_TOKEN: said(wrong[0], Rule((words(wrong[1]),))),
        },
    )


def promoted_words(feature: Planted) -> tuple[str, ...]:
    """Return the words that a planted output feature promotes, in small letters."""
    return tuple(word for part in feature.rule.parts for word in part.alternatives)


PROMOTERS = (
    _promote(
        "months", "names of months",
        "january march july",
        "february april june august september october november december",
        narrow="January, March and July",
        broad=("names of months, days and seasons", "monday sunday friday summer winter spring autumn"),
        related=("names of weekdays", "monday tuesday wednesday thursday friday saturday sunday"),
        wrong=("words for spans of time, such as year and week", "year week day month hour century"),
    ),
    _promote(
        "weekdays", "names of days of the week", "monday friday sunday", "tuesday wednesday thursday saturday",
        narrow="Monday, Friday and Sunday",
        broad=("names of days and parts of the day", "morning evening night noon afternoon today tomorrow"),
        related=("names of the months", "january february march april may june july august"),
        wrong=("words for regular times, such as daily and weekly", "daily weekly yearly monthly hourly"),
    ),
    _promote(
        "colours", "words for colours", "red blue green", "yellow purple orange pink brown gray black white",
        narrow="red, blue and green",
        broad=("words for colours and other looks", "bright dark light pale shiny clear"),
        related=("words for shapes", "round square flat circular oval triangular"),
        wrong=("words about painting, such as paint and brush", "paint brush painted canvas dye colour"),
    ),
    _promote(
        "small numbers", "small numbers as words", "two three four", "five six seven eight nine ten",
        narrow="two, three and four",
        broad=("numbers and amounts as words", "many several few hundred thousand dozen"),
        related=("ordinal numbers as words", "first second third fourth fifth sixth"),
        wrong=("words about counting, such as count and sum", "count sum total number add digits"),
    ),
    _promote(
        "relatives", "words for relatives", "mother father brother", "sister son daughter uncle aunt wife husband",
        narrow="mother, father and brother",
        broad=("words for relatives and friends", "friend neighbor colleague partner boy girl"),
        related=("words for professions", "doctor teacher lawyer engineer farmer nurse"),
        wrong=("words about family life, such as home and marriage", "home marriage wedding birth family household"),
    ),
    _promote(
        "body", "words for parts of the body", "hand head eye", "arm leg foot face neck shoulder finger",
        narrow="hand, head and eye",
        broad=("words for parts of the body and clothes", "coat shirt hat shoe jacket glove"),
        related=("words for pieces of furniture", "chair table bed desk sofa shelf"),
        wrong=("words about health, such as pain and sick", "pain sick healthy injury ill wound"),
    ),
    _promote(
        "nations", "names of countries", "france germany china", "italy spain japan russia india canada mexico brazil",
        narrow="France, Germany and China",
        broad=("names of countries and continents", "europe africa asia america australia"),
        related=("names of languages", "french german chinese italian spanish russian"),
        wrong=("words about states, such as border and nation", "border nation embassy citizen passport foreign"),
    ),
    _promote(
        "animals", "words for animals", "dog cat horse", "cow pig sheep lion bear wolf rabbit bird fish",
        narrow="dog, cat and horse",
        broad=("words for animals and plants", "tree flower grass bush plant rose"),
        related=("words for vehicles", "car truck train bus ship plane"),
        wrong=("words about farms and zoos, such as cage and feed", "cage feed farm zoo herd stable"),
    ),
    _promote(
        "question words", "words that open a question", "what why how", "where when who which whose",
        narrow="what, why and how",
        broad=("words that open a question or a clause", "that because although while if since"),
        related=("words that answer, such as yes and no", "yes no maybe perhaps sure okay"),
        wrong=("words about asking, such as ask and answer", "ask answer question reply asked wonder"),
    ),
    _promote(
        "modals", "auxiliary verbs, such as should and could", "should could would", "might must may can will shall",
        narrow="should, could and would",
        broad=("auxiliary verbs and forms of be and have", "is was has have had were"),
        related=("verbs of thinking, such as think and know", "think know believe feel suppose guess"),
        wrong=("words about need and right, such as duty", "duty need permission right ability possible"),
    ),
    _promote(
        "metals", "names of metals", "gold silver iron", "copper steel lead tin zinc bronze",
        narrow="gold, silver and iron",
        broad=("names of metals and other materials", "wood stone glass plastic leather cotton"),
        related=("names of gases", "oxygen hydrogen nitrogen helium carbon methane"),
        wrong=("words about mining, such as mine and ore", "mine ore furnace forge coin jewelry"),
    ),
    _promote(
        "places in a house", "words for rooms", "kitchen bedroom bathroom", "room hall garage basement attic office",
        narrow="kitchen, bedroom and bathroom",
        broad=("words for rooms and buildings", "house school church hotel hospital castle"),
        related=("words for places outdoors", "garden park forest beach street field"),
        wrong=("words about building, such as roof and brick", "roof brick wall floor ceiling window"),
    ),
)  # fmt: skip
"""The features that promote tokens, in order of their numbers."""
