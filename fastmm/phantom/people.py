"""Who is in the synthetic cohort: labels, severities, case data, genes, and what is missing."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from fastmm.phantom.disease import draw_signs

__all__ = [
    "CELLS",
    "GENES",
    "KINDS",
    "UID_ROOT",
    "CohortPlan",
    "Genome",
    "Person",
    "Purpose",
    "case_facts",
    "draw_people",
    "gaps",
]

GENES = 200
_FOLLOWERS = {"specific": 20, "general": 10}  # genes that follow a sign
UID_ROOT = uuid.UUID("6f0d5a3e-51c4-5d0b-9f3c-2a7c1f6f4b10")
KINDS = ("ct", "mr", "expression")  # what a patient may lack as a whole
CELLS = ("pack_years", "age", "sex")  # what may be blank


class Purpose(IntEnum):
    """What a stream of random numbers is for; the numbers fix the bytes of a seed."""

    LABEL = 0
    PERSON = 1
    TABLE = 2
    GENE = 3
    ANATOMY = 4
    CT = 5
    MR = 6
    GENOME = 7
    GAP = 8


@dataclass(frozen=True)
class CohortPlan:
    """What all series of a cohort share."""

    seed: int
    slices: int
    shape: tuple[int, int]

    def stream(self, purpose: int, index: int) -> np.random.Generator:
        """Return the random numbers of one purpose and patient."""
        # More patients, other slices or another
        # share of missing data leave everything else as it was.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(purpose, index)))

    def uid(self, *names: object) -> str:
        """Return the DICOM UID that belongs to these names in this cohort."""
        text = "/".join(str(part) for part in (self.seed, self.slices, *self.shape, *names))
        return f"2.25.{uuid.uuid5(UID_ROOT, text).int}"


@dataclass(frozen=True)
class Person:
    """One row of the cohort, before anything is missing."""

    number: int
    malignant: int
    signs: dict[str, float]

    @property
    def folder(self) -> str:
        """Name of the folder of the scans."""
        return f"P{self.number:04d}"

    @property
    def name(self) -> str:
        """Identifier, which says that it is no patient's."""
        return f"PHANTOM-{self.number:04d}"


def draw_people(study: CohortPlan, total: int) -> Iterator[Person]:
    """Draw persons given their labels, one of each class in every two."""
    for index in range(1, total + 1):
        first = int(study.stream(Purpose.LABEL, (index - 1) // 2).integers(2))
        malignant = first ^ (index - 1) % 2
        yield Person(index, malignant, draw_signs(study.stream(Purpose.PERSON, index), malignant))


def gaps(study: CohortPlan, share: float, names: tuple[str, ...], index: int) -> Iterator[str]:
    """Name what each patient in turn lacks, "" for nothing: evenly, from a random start."""
    rng = study.stream(Purpose.GAP, index)
    start, turn = rng.uniform(), int(rng.integers(len(names)))
    before = math.floor(start)
    while True:
        start += share
        lacks = math.floor(start) > before
        before = math.floor(start)
        yield names[(before + turn) % len(names)] if lacks else ""


def case_facts(study: CohortPlan, person: Person) -> dict[str, object]:
    """Draw age, pack years and sex."""
    rng = study.stream(Purpose.TABLE, person.number)
    age = 63 + 8 * person.signs["age"]
    pack_years = 26 + 14 * person.signs["pack_years"]
    male = rng.uniform() < 0.5  # which tells nothing
    return {
        "age": round(min(max(age, 35), 90)),
        "pack_years": round(max(pack_years, 0.0), 1),
        "sex": "male" if male else "female",
    }


class Genome:
    """How made-up genes respond: to signs of the disease, to other pathways, by chance."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.baseline = rng.uniform(3, 11, GENES)
        self.pathways = rng.normal(0, 0.2, (6, GENES))
        self.responses = {sign: np.zeros(GENES) for sign in _FOLLOWERS}
        chosen = rng.choice(GENES, sum(_FOLLOWERS.values()), replace=False)
        for sign, count in _FOLLOWERS.items():
            own, chosen = chosen[:count], chosen[count:]
            self.responses[sign][own] = rng.choice([-1, 1], count) * rng.uniform(0.6, 1.0, count)

    def express(self, rng: np.random.Generator, signs: dict[str, float]) -> np.ndarray[Any, Any]:
        """Draw the expression of all genes."""
        told = sum(signs[sign] * response for sign, response in self.responses.items())
        other = rng.normal(size=6) @ self.pathways
        chance = rng.normal(0, 0.6, GENES)
        return np.maximum(self.baseline + told + other + chance, 0)
