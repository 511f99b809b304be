"""A report of numbers that all differ, and its page and JSON read back."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects what a page holds, and insists that every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells.append(data)
        if "style" not in self.open:
            self.words.append(data)

    def values(self, *names: str) -> list[str]:
        return [value or "" for _, name, value in self.attributes if name in names]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def experiment() -> dict[str, Any]:
    """Everything a report can hold, its numbers all different."""
    rng = np.random.default_rng(5)
    label = np.arange(60) % 2
    scores = [
        {
            "model": model,
            "features": features,
            "auc": auc,
            "auc_low": auc - 0.0871,
            "auc_high": auc + 0.0533,
            "balanced_accuracy": auc - 0.0417,
            "n": 54 if features == "ct" else 60,
            "patients": 53 if features == "ct" else 59,
            "parameter": "alpha = 100",
        }
        for model, features, auc in [
            ("ridge", "ct", 0.8012),
            ("ridge", "table", 0.7023),
            ("ridge", "fused", 0.8534),
            ("lssvm", "ct", 0.8145),
            ("lssvm", "table", 0.6956),
            ("lssvm", "fused", 0.8467),
        ]
    ]
    rate = np.linspace(0, 1, 9)
    return {
        "title": "Phantom cohort",
        "synthetic": True,
        "created": "2026-11-22T17:00:00+02:00",
        "fastmm": "0.1.0",
        "command": "fastmm demo --output out",
        "cohort": {
            "rows": 60,
            "patients": 59,
            "label": "malignant",
            "classes": {"0": 30, "1": 30},
            "modalities": [
                {"name": "ct", "kind": "image", "present": 54, "missing": 6, "features": 24576},
                {"name": "table", "kind": "table", "present": 60, "missing": 0, "features": 5},
            ],
            "notes": ["7 blank cells filled with the column median"],
        },
        "validation": {
            "scheme": "leave one patient out",
            "detail": "exact",
            "bootstrap": 2000,
            "confidence": 0.95,
        },
        "scores": scores,
        "chosen": {"model": "ridge", "features": "fused"},
        "roc": [
            {"model": s["model"], "features": s["features"], "fpr": rate**2, "tpr": rate}
            for s in scores
        ],
        "predictions": {"label": label, "score": label + rng.normal(size=60)},
        "contributions": [{"name": "ct", "share": 1.043}, {"name": "table", "share": -0.043}],
        "stages": [
            {
                "stage": "read + resize",
                "seconds": 2.1,
                "images": 864,
                "images_per_s": 411.0,
                "mb": 113.2,
                "mb_per_s": 53.9,
            },
            {"stage": "train ridge", "seconds": np.float64(0.0412), "fits": 240},
        ],
        "settings": {"image": ["ct"], "shape": (64, 64), "alphas": {"low": 0.01}},
        "environment": {"python": "3.11.7", "cores": 2, "device": "cpu"},
    }


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def strict(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
