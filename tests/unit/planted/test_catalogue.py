from __future__ import annotations

import itertools
import time

import pytest

from harness.errors import FeatureSourceError, UnknownNameError
from harness.planted.catalogue import (
    CATALOGUES,
    FEATURES,
    believed,
    features_digest,
    planted_rule,
    rules_digest,
    texts_identity,
)
from harness.planted.features import BROAD, NARROW, OTHER, RELATED, SETS, TRUE, WRONG_TOKEN, Planted
from harness.planted.promoters import PROMOTERS, promoted_words

# For each feature a text in which it fires on the words named, and a near one in which it does not fire.
TEXTS: dict[str, tuple[str, list[str], str]] = {
    "because": ("He left because of it.", ["because of"], "He left, but not for this cause."),
    "must": ("We must not go.", ["must"], "We may go to the mustard field."),
    "upon": ("It fell upon the deck.", ["upon"], "It fell on the deck once."),
    "never": ("They have never seen it.", ["never"], "They have ever seen nevertheless."),
    "whale": ("The sperm whale and two whales", ["whale", "whales"], "The whaler and his shark"),
    "people": ("the American people spoke", ["people"], "the peoples spoke"),
    "stop after don't": ("don't stop, they didn't stop", ["stop", "stop"], "The bus will stop. We don't go."),
    "not after do": ("I do not know, he does not", ["not", "not"], "It is not so, and I know"),
    "of after a part": ("one of us, part of it", ["of", "of"], "the city of light"),
    "that after saying": ("I know that he said that", ["that", "that"], "the house that he knew"),
    "have after we or I": ("We have it and I have not", ["have", "have"], "you have it, we had it"),
    "for example": ("fruit such as plums, for example", ["such as", "for example"], "such fruit, as said"),
    "at last": ("At last he came, at least", ["At last", "at least"], "at home the last one"),
    "so that": ("so that we may, in order to win", ["so that", "in order to"], "so he saw that order"),
    "as well as": ("as well as he could, as long as", ["as well as", "as long as"], "as he could do well"),
    "there is": ("There is one, there were two", ["There is", "there were"], "He stood there. Is it?"),
    "-ness": ("happiness and darkness", ["happiness", "darkness"], "happy dark nests"),
    "-ment": ("the government made a statement", ["government", "statement"], "men meant to govern"),
    "-ly": ("slowly and carefully", ["slowly", "carefully"], "a fly and slow care"),
    "superlatives": ("the greatest and oldest", ["greatest", "oldest"], "a great interest in old forests"),
    "all capitals": ("the NATIONAL and NATO", ["NATIONAL", "NATO"], "the National US and a_B"),
    "-ies": ("cities and bodies", ["cities", "bodies"], "city body dieside"),
    "name after a title": ("Captain Ahab met Dr. Smith", ["Ahab", "Smith"], "the captain met Smith"),
    "after very": ("very good, too late", ["good", "late"], "every good late so"),
    "after every": ("every day and each night", ["day", "night"], "day after day, all night"),
    "after no": ("no longer, no hope", ["longer", "hope"], "not longer, know hope"),
    "seafaring": ("The ship lowered an anchor", ["ship", "anchor"], "The town lowered a flag"),
    "war": ("the army and the enemy", ["army", "enemy"], "the farm and the friend"),
    "money": ("a tax on income", ["tax", "income"], "a walk in the rain"),
    "religion": ("God and the temple", ["God", "temple"], "the town and the hall"),
    "schooling": ("a school for every teacher", ["school", "teacher"], "a shop for bakers"),
    "law": ("the law and the judge", ["law", "judge"], "the lawn and the judgement"),
    "chemistry": ("acid on potassium", ["acid", "potassium"], "placid on grass"),
    "family": ("his father and his wife", ["father", "wife"], "his farm and his boat"),
    "body": ("her hand and her face", ["hand", "face"], "her handle and her surface"),
    "crew of the Pequod": ("Ahab called Stubb", ["Ahab", "Stubb"], "Jonah called a stubborn man"),
    "nations": ("from France to Japan", ["France", "Japan"], "from French to Japanese"),
    "America": ("the United States of America", ["United States", "America"], "the united state of mind"),
    "institutions": ("Congress and the President", ["Congress", "President"], "a meeting and its chair"),
    "compass": ("north and eastern", ["north", "eastern"], "left and right"),
    "colours": ("white and green", ["white", "green"], "bright and dark"),
    "French": ("les enfants dans la rue avec", ["les", "dans", "avec"], "the children of the street"),
    "German": ("der Hund und ein", ["der", "und", "ein"], "the dog and one"),
    "Spanish": ("los niños con una", ["los", "con", "una"], "the children lost a cone"),
    "idioms with animals": ("let the cat out of the bag", ["cat out of the bag"], "the cat sat on the bag"),
    "idioms with the body": ("he got cold feet", ["cold feet"], "his feet were cold"),
    "idioms with weather": ("I am under the weather", ["under the weather"], "the weather was good"),
    "idioms with food": ("a piece of cake", ["piece of cake"], "she ate the cake"),
    "years": ("in 1861 and 1776", ["1861", "1776"], "in 2016 and 186 or 18610"),
    "decimals": ("0.5 or 12.25", ["0.5", "12.25"], "5 or 12, 25"),
    "number words": ("two of twenty", ["two", "twenty"], "2 of 20"),
    "ordinals": ("first and fifth", ["first", "fifth"], "one and five"),
    "dates": ("on March 3, 1850 and 12 May", ["March 3, 1850", "12 May"], "in March and in 1850"),
    "amounts": ("5 percent or $20", ["5 percent", "$20"], "5 times or 20 trees"),
    "negation of a verb": ("It is not, I can't", ["not", "n't"], "no, it is"),
    "relative clauses": ("the man, who, which", ["who", "which"], "who is the man which"),
    "passives": ("was called and is named", ["called", "named"], "he called and named it"),
    "be after a modal": ("will be or may be", ["be", "be"], "to be or being"),
    "comparisons": ("more than, older than", ["than", "than"], "then and thank"),
    "integer types": ("int x; u32 y", ["int", "u32"], "printf of interest"),
    "conditions in C": ("if( a ){} while( b )", ["if", "while"], "if a then while b"),
    "SQLite functions": ("sqlite3_open(sqlite3 *db)", ["sqlite3_open", "sqlite3"], "open(db)"),
    "comments in C": ("/* note */", ["/*", "*/"], "a / b * c"),
    "preprocessor": ("#ifdef X\n#endif", ["#ifdef", "#endif"], "if X endif #5"),
    "constants in C": ("SQLITE_OK or WAL_MAX", ["SQLITE_OK", "WAL_MAX"], "sqlite_ok or NATO"),
    "arrows in C": ("p->db, p->zName", ["db", "zName"], "p.db - zName"),
    "equality": ("a==0, b != c", ["==", "!="], "a=0, b <= c"),
    "semicolons in prose": ("he came; and he saw; it was", [";", ";"], "x=1;\ny=2;\n"),
    "dashes": ("the sea--the sky", ["--"], "sea-sky, x - y"),
    "question marks": ('"Why?" and what? Who', ["?", "?"], "why! what."),
    "exclamation marks": ('"Look!" Oh! He', ["!", "!"], "a != b ! c"),
    "parentheses": ("a man (from Rome) and (The", ["(", "("], "f(x), [a]"),
    "possessives": ("the ship's deck, Ahab's wife", ["'s", "'s"], "it's. the ships"),
    "beginning of a paragraph": ("End.\n\nThe sea.\n\nOld men", ["The", "Old"], "End. The sea.\nOld"),
    "end of a question": ("Who came? What then?", ["came", "then"], "He came. Then!"),
    "beginning of a quotation": ('said, "Come here" and "so"', ["Come", "so"], "said (Come) Here"),
    "after a comma at a clause": ("he came, and saw, or went", ["saw", "went"], "he came and saw, went"),
}  # fmt: skip


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_rule_fires_where_it_should_and_not_nearby(feature: Planted) -> None:
    text, expected, near = TEXTS[feature.name]
    assert [text[span.start : span.stop] for span in feature.rule.strengths(text)] == expected
    assert feature.rule.strengths(near) == ()


def test_there_are_enough_features_in_all_families_with_names_of_their_own() -> None:
    assert len(FEATURES) >= 60
    assert {feature.family for feature in FEATURES} == {
        "single token",
        "token in context",
        "phrase",
        "inflection or casing",
        "topic",
        "entity type",
        "numbers and dates",
        "syntax",
        "code",
        "punctuation",
        "position",
        "language",
        "previous token",
        "idiom",
    }
    assert all(len(list(group)) == 1 for _, group in itertools.groupby(sorted(f.name for f in FEATURES)))


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_has_several_strengths(feature: Planted) -> None:
    strengths = {part.strength(place) for part in feature.rule.parts for place in range(len(part.alternatives))}
    assert len(strengths) >= 3
    assert min(strengths) >= 3.0
    assert max(strengths) == 10.0


@pytest.mark.parametrize("name", CATALOGUES)
def test_distortions_differ_and_say_so_by_rules_of_their_own(name: str) -> None:
    for number, feature in enumerate(CATALOGUES[name]):
        said = {one: believed(CATALOGUES[name], number, one) for one in SETS}
        assert len({one.text for one in said.values()}) == len(SETS), feature.name
        assert len({one.rule for one in said.values()}) == len(SETS), feature.name
        assert said["empty"].text == ""


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_text_has_one_rule(name: str) -> None:
    for number in range(len(CATALOGUES[name])):
        for one in (TRUE, BROAD, NARROW, RELATED, WRONG_TOKEN, OTHER):
            said = believed(CATALOGUES[name], number, one)
            assert planted_rule(said.text) == said.rule, said.text


def test_what_is_true_is_among_what_is_broad_and_holds_what_is_narrow() -> None:
    for feature in FEATURES:
        text = TEXTS[feature.name][0]
        spans = {
            name: {(span.start, span.stop) for span in feature.said[name].rule.strengths(text)}
            for name in (TRUE, BROAD, NARROW)
        }
        assert spans[NARROW] <= spans[TRUE] <= spans[BROAD], feature.name


def test_the_wrong_token_is_none_of_the_right_ones() -> None:
    for feature in FEATURES:
        text = TEXTS[feature.name][0]
        right, wrong = (
            {(span.start, span.stop) for span in feature.said[name].rule.strengths(text)}
            for name in (TRUE, WRONG_TOKEN)
        )
        assert not right & wrong, feature.name


def test_another_feature_s_explanation_is_of_another_family() -> None:
    for number, feature in enumerate(FEATURES):
        text = believed(FEATURES, number, OTHER).text
        (other,) = [one for one in FEATURES if one.said[TRUE].text == text]
        assert other.family != feature.family


def test_unknown_features_and_sets_are_refused() -> None:
    with pytest.raises(FeatureSourceError, match="numbered 0 to"):
        believed(FEATURES, len(FEATURES), TRUE)
    with pytest.raises(UnknownNameError, match="did you mean broad"):
        believed(FEATURES, 0, "brod")


def test_unknown_texts_have_no_rule_and_white_space_around_known_ones_means_nothing() -> None:
    assert planted_rule("something else") is None
    assert planted_rule("") is None
    assert planted_rule(f" {FEATURES[0].said[TRUE].text}\n") == FEATURES[0].rule


def test_digests_are_of_the_rules() -> None:
    assert texts_identity(None) == {"rules": rules_digest()}
    assert rules_digest() != features_digest()


def test_promoters_name_many_words_none_twice() -> None:
    for feature in PROMOTERS:
        found = promoted_words(feature)
        assert len(found) >= 6
        assert len(set(found)) == len(found)


def test_asking_all_rules_about_long_hostile_texts_takes_no_time() -> None:
    began = time.process_time()
    for text in (
        "a" * 10_000,
        "(" * 10_000,
        "9" * 10_000,
        "A_" * 5_000,
        '"' * 10_000,
        "\x00\u202e" * 5_000,
        "= " * 5_000,
    ):
        for feature in FEATURES:
            for said in feature.said.values():
                said.rule.strengths(text)
    assert time.process_time() - began < 15
