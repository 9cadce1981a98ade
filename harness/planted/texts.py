"""Short invented texts for what the demo corpus hardly has: idioms, other languages, dates, sums, "don't stop".

Each text puts sentences from several lists together, so that what a feature fires on stands among what it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TEXTS_VERSION", "planted_texts"]

TEXTS_VERSION = 1
"""Raise it when a text changes."""

_STOP = (
    "Please don't stop on my account, she said, and the band played another tune.",
    "If you don't stop at the bridge you will reach the mill before dark.",
    "The rain won't stop until the wind turns, so we had better stay inside.",
    "My brother won't stop talking about the boat he wants to build.",
    "Whatever they tell you, don't stop writing to your sister.",
    "The old clock won't stop even when nobody winds it for a week.",
    "We don't stop for lunch on days when the orders pile up.",
    "He won't stop until he has read the last page.",
)
_PLAIN_STOP = (
    "The bus will stop right in front of the library.",
    "I had to stop twice to catch my breath on the hill.",
    "They wanted to stop the work before the frost came.",
    "We stopped at a small inn near the river.",
    "At the next stop a woman with a basket got in.",
    "Don't worry about the noise, the neighbours are used to it.",
    "Don't forget to water the plants on the balcony.",
    "The door won't open unless you push it hard.",
)
_ANIMALS = (
    "Somebody let the cat out of the bag, and the party was no surprise.",
    "Nobody wanted to speak about the elephant in the room.",
    "Hold your horses, said the clerk, the office opens at nine.",
    "The search for the missing letter turned out to be a wild goose chase.",
    "I heard it straight from the horse's mouth that the shop will close.",
    "By noon the cat out of the bag was the talk of the whole street.",
)
_BODY = (
    "He got cold feet on the morning of the wedding.",
    "The new roof cost us an arm and a leg.",
    "Could you keep an eye on my suitcase while I buy the tickets?",
    "She gave him the cold shoulder for the rest of the week.",
    "We have no plan yet, so we will play it by ear.",
    "Are you pulling my leg, or did you really meet the mayor?",
)
_WEATHER = (
    "I have been under the weather since Tuesday and stayed in bed.",
    "A short joke helped to break the ice at the meeting.",
    "The whole quarrel was a storm in a teacup.",
    "He found himself in hot water after the letter was printed.",
    "Once in a blue moon we go to the theatre.",
    "We are all in the same boat, so let us share what there is.",
    "Her question about the garden broke the ice at once.",
)
_FOOD = (
    "The second half of the exam was a piece of cake.",
    "In the end the youngest child spilled the beans.",
    "Repairing bicycles is his bread and butter.",
    "Long walks in the rain are not my cup of tea.",
    "Take what the salesman tells you with a pinch of salt.",
    "The little dog was the apple of his eye.",
)
_FRENCH = (
    "Les enfants jouent dans la cour pendant que leur mère prépare le dîner.",
    "Nous avons pris le train de huit heures pour aller chez mon oncle.",
    "Il pleut souvent en automne, mais les matins sont très doux.",
    "Elle est partie avec une petite valise et un grand chapeau bleu.",
    "Vous trouverez la clé sur la table, près de la fenêtre.",
    "Le marché est ouvert tous les jours, sauf le dimanche.",
    "Une vieille femme vend des fleurs au coin de la rue.",
    "Qui est dans le jardin avec les voisins ce soir ?",
)
_GERMAN = (
    "Der Zug nach Hamburg ist heute nicht pünktlich, und wir warten noch immer.",
    "Im Sommer sitzen die Kinder auf der Mauer und essen Kirschen.",
    "Ich habe das Buch gelesen, aber es hat mir nicht gefallen.",
    "Der Bäcker und seine Frau stehen jeden Morgen um vier Uhr auf.",
    "Wir haben einen alten Hund, der nicht mehr gut hört.",
    "Das Haus am See ist klein, und der Garten ist wild.",
    "Sie wird mit dem Rad zu ihrer Schwester fahren.",
    "Eine Stunde später war der Regen vorbei und die Luft ganz klar.",
)
_SPANISH = (
    "Los domingos comemos con los abuelos en una casa cerca del mar.",
    "El tren llegó tarde, pero nadie se quejó.",
    "Las calles del pueblo son estrechas y muy tranquilas.",
    "Mi hermana trabaja en una tienda de libros y siempre llega cansada.",
    "Cuando llueve, los niños juegan en el pasillo con las cajas vacías.",
    "El jardín está lleno de flores, como todos los años.",
    "Hay una fuente en la plaza donde las palomas beben agua.",
    "Todos fueron al mercado por pan, queso y aceitunas.",
)
_DATES = (
    "The lease began on {month} {day}, {year}, and ran for ten years.",
    "On {day} {month} {year} the last ferry crossed the bay.",
    "Her diary breaks off on {month} {day} without a word of warning.",
    "The form must be returned by {year}-{number}-{day2}.",
    "They were married on {day} {month} in a village church.",
    "Since {month} {day}, {year} the house has stood empty.",
)
_SUMS = (
    "Rents rose by {share} percent in one year, and wages by {small} percent.",
    "The ticket costs ${small}, or ${price} with a seat by the window.",
    "About {share} percent of the members voted, fewer than expected.",
    "He paid {price} dollars for the lamp and sold it for {small}.",
    "Sales fell by {small}% in spring and grew by {share}% in autumn.",
    "A loaf that cost ${small} last year is ${price} today.",
)
_NATIONS = (
    "They shipped wine from {one} to {two} and brought back tin.",
    "Her father was born in {one} and her mother in {two}.",
    "The match between {one} and {two} ended without a goal.",
    "From {one} the road leads over the mountains into {two}.",
    "He had worked in {one} before he moved to {two}.",
    "Students from {one}, {two} and {three} share the top floor.",
)
_LISTS = (_STOP, _PLAIN_STOP, _ANIMALS, _BODY, _WEATHER, _FOOD, _DATES, _SUMS, _NATIONS)
_FOREIGN = (_FRENCH, _GERMAN, _SPANISH)
_MONTHS = ("January", "February", "March", "April", "June", "July", "August", "September", "October", "November")
_COUNTRIES = (
    "France",
    "Germany",
    "England",
    "Spain",
    "Italy",
    "Russia",
    "China",
    "Japan",
    "Greece",
    "Portugal",
    "Sweden",
)


def planted_texts() -> Iterator[str]:
    """Yield texts without end, always the same ones: a sentence of each list, and two of each other language."""
    number = 0
    while True:
        draw = generator(0, "planted text", number)
        parts = [str(draw.choice(sentences)) for sentences in _LISTS]
        parts += [" ".join(map(str, draw.choice(sentences, size=2, replace=False))) for sentences in _FOREIGN]
        countries = [str(name) for name in draw.choice(_COUNTRIES, size=3, replace=False)]
        slots = {
            "month": str(draw.choice(_MONTHS)),
            "day": int(draw.integers(1, 29)),
            "year": int(draw.integers(1820, 2000)),
            "number": f"{int(draw.integers(1, 13)):02d}",
            "day2": f"{int(draw.integers(10, 29))}",
            "share": int(draw.integers(20, 80)),
            "small": int(draw.integers(2, 10)),
            "price": int(draw.integers(11, 90)),
            **dict(zip(("one", "two", "three"), countries, strict=True)),
        }
        ordered = [parts[place].format(**slots) for place in draw.permutation(len(parts))]
        half = len(ordered) // 2
        yield f"{' '.join(ordered[:half])}\n\n{' '.join(ordered[half:])}"
        number += 1
