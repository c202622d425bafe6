"""WordNet's nouns by number, as ImageNet's classes are numbered: names, and kinds of thing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# What people call things before they look closer (basic-level categories, Rosch et al. 1976).
_WORDS = """
    dog cat bird fish fox wolf bear monkey ape snake lizard turtle frog salamander spider
    butterfly insect beetle crab duck goose owl eagle parrot horse pony sheep goat antelope deer
    cow whale dolphin seal shark rabbit squirrel mouse elephant pig lion tiger leopard snail slug
    worm jellyfish crocodile dinosaur chicken grasshopper cricket bee ant lobster camel
    car truck bus boat ship airplane train bicycle motorcycle cart tank ball hat shoe bottle glass
    cup plate bowl chair table desk sofa bed lamp clock watch telephone computer camera fruit
    vegetable bread cake meat mushroom flower tree plant house building bridge tower church fence
    drum guitar piano bag dress coat shirt tool knife weapon gun kitchen_appliance furniture
    musical_instrument mountain beach lake
"""
KINDS = frozenset(_WORDS.split())


@dataclass(frozen=True)
class Synset:
    """A meaning: its words, and the numbers of what it is a kind of."""

    words: tuple[str, ...]
    above: tuple[str, ...]


class WordNet:
    """The nouns of a WordNet folder (wndb(5WN)); read when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def synsets(self) -> dict[str, Synset]:
        """All nouns by number ("02119022")."""
        found = {}
        for line in (self.folder / "data.noun").read_text("utf-8").splitlines():
            if line.startswith(" "):
                continue
            fields = line.partition(" | ")[0].split()
            count = int(fields[3], 16)
            words = tuple(fields[4 : 4 + 2 * count : 2])
            pointers = fields[5 + 2 * count :]
            above = (
                pointers[i + 1] for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")
            )
            found[fields[0]] = Synset(words, tuple(above))
        return found

    @cached_property
    def genera(self) -> frozenset[str]:
        """First words of Latin names ("Vulpes")."""
        words = (w for s in self.synsets.values() for w in s.words)
        return frozenset(w.removeprefix("genus_") for w in words if w.startswith("genus_"))

    def names(self, number: str) -> tuple[str, ...]:
        """Return the names of a noun, lower case and without Latin ones if it has others.

        Raises:
            KeyError: there is no noun of that number.
        """
        words = self.synsets[number].words
        common = [w for w in words if w.split("_")[0] not in self.genera]
        return tuple(dict.fromkeys(w.replace("_", " ").lower() for w in common or words))

    def kinds(self, number: str) -> tuple[str, ...]:
        """Return the nearest of `KINDS` that a noun is one of, at most one; not its own name."""
        own = set(self.names(number))
        for word in self._above(number):
            if word in KINDS and word.replace("_", " ") not in own:
                return (word.replace("_", " "),)
        return ()

    def _above(self, number: str) -> Iterator[str]:
        """Yield what a noun is a kind of, the nearest first, each by its first word.

        Further words of a meaning mislead: "cat" is also one for a lion.
        """
        level, seen = self.synsets[number].above, set()
        while level:
            found = [n for n in level if n in self.synsets and n not in seen]
            seen.update(found)
            yield from (self.synsets[n].words[0] for n in found)
            level = tuple(m for n in found for m in self.synsets[n].above)
