"""Who is in the synthetic cohort: labels, severities, case data, genes, and what is missing."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

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

GENES, _INFORMATIVE = 200, 10
_EFFECT = 2.5  # of each severity, on the logit of malignancy
_SHARED = 0.5  # correlation between the severities
_SEVERITIES = ("outline", "uptake", "history", "genes")
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
    severity: dict[str, float]

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
        yield Person(index, malignant, _severities(study.stream(Purpose.PERSON, index), malignant))


def _severities(rng: np.random.Generator, malignant: int) -> dict[str, float]:
    # Rejection: persons come and go until one has the label. What remains has the joint
    # distribution of the model, while the classes stay balanced.
    while True:
        common, own = rng.normal(), rng.normal(size=len(_SEVERITIES))
        severity = math.sqrt(_SHARED) * common + math.sqrt(1 - _SHARED) * own
        chance = 1 / (1 + math.exp(-_EFFECT * severity.sum()))
        if (rng.uniform() < chance) == bool(malignant):
            return dict(zip(_SEVERITIES, severity.tolist(), strict=True))


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
    history = person.severity["history"]
    age = 63 + 8 * (0.6 * history + 0.8 * rng.normal())
    pack_years = 26 + 15 * (0.85 * history + 0.5 * rng.normal())
    male = rng.uniform() < 1 / (1 + math.exp(-0.4 * history))
    return {
        "age": round(min(max(age, 35), 90)),
        "pack_years": round(max(pack_years, 0.0), 1),
        "sex": "male" if male else "female",
    }


class Genome:
    """How made-up genes respond: to the severity, to other pathways, by chance."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.baseline = rng.uniform(3, 11, GENES)
        self.pathways = rng.normal(0, 0.2, (6, GENES))
        self.response = np.zeros(GENES)
        chosen = rng.choice(GENES, _INFORMATIVE, replace=False)
        signs, strengths = rng.choice([-1, 1], _INFORMATIVE), rng.uniform(0.8, 1.2, _INFORMATIVE)
        self.response[chosen] = signs * strengths

    def express(self, rng: np.random.Generator, severity: float) -> np.ndarray[Any, Any]:
        """Draw the expression of all genes."""
        other = rng.normal(size=6) @ self.pathways
        chance = rng.normal(0, 0.6, GENES)
        return np.maximum(self.baseline + self.response * severity + other + chance, 0)
