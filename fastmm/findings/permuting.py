"""p-values of sets of modalities, by permuting the labels of whole patients."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from fastmm.blocks import Block
from fastmm.findings.designs import make_design
from fastmm.findings.room import SHUFFLED, refit_bytes
from fastmm.findings.validation import Plan, Validated
from fastmm.fusion.fused_solvers import form_of
from fastmm.solve.kernel.lssvm_search import LSSVCCV
from fastmm.solve.ridge.classifier import RidgeClassifierCV
from fastmm.streams.limits import say_bytes
from fastmm.validate.permutation import PermutationTest, permutation_test
from fastmm.validate.score_permutation import permute_scores

__all__ = ["METHODS", "PERMUTATIONS", "permute_set"]

PERMUTATIONS = 1000
METHODS = {
    "refitted": (
        f"the share of {PERMUTATIONS:,} permutations of the labels of whole patients whose AUC is "
        "as high. The model is refitted to each of them, exactly and in closed form, and its "
        "penalty chosen anew for the highest AUC; modalities weigh the same there and classes "
        "count by their rows, so that this AUC differs from the one above."
    ),
    "scores": (
        f"the share of {PERMUTATIONS:,} permutations of the labels of whole patients whose AUC is "
        "as high, the out-of-fold scores staying what they are. Approximate, since those scores "
        "have seen the labels of the other patients: areas of permutations are spread by as much "
        "as intervals are widened."
    ),
}


def permute_set(
    plan: Plan, found: Validated, blocks: Mapping[str, Block]
) -> tuple[dict[str, Any], list[str]]:
    """Return the p-value of a set, the method and its area, and notes."""
    limit, patients = plan.memory_limit, len(set(found.groups.tolist()))
    if limit is not None and SHUFFLED * PERMUTATIONS * patients > limit:
        room = say_bytes(int(SHUFFLED * PERMUTATIONS * patients))
        return {"pvalue": None}, [f"no p-value: its permutations of patients take {room}"]
    exact = _has_closed_form(plan, found)
    told = []
    if exact and limit is not None and (needed := _refit_bytes(plan, found, blocks)) > limit:
        exact = False
        told = [
            f"the p-value permutes labels under the out-of-fold scores: refits to all "
            f"permutations take {say_bytes(int(needed))}"
        ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # of patients that keep their labels
        try:
            test = _refitted(plan, found, blocks) if exact else _of_scores(found)
        except ValueError as error:
            if "No permutation" not in str(error):
                raise
            return {"pvalue": None}, [str(error)]
    notes = told + list(dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning))
    return {
        "pvalue": test.pvalue,
        "pvalue_method": "refitted" if exact else "scores",
        "pvalue_auc": test.score,
    }, notes


def _has_closed_form(plan: Plan, found: Validated) -> bool:
    late = plan.fusion == "late" and len(found.names) > 1
    return found.model in ("ridge", "linear", "lssvm") and not late


def _refit_bytes(plan: Plan, found: Validated, blocks: Mapping[str, Block]) -> float:
    own = {name: blocks[name].take(found.rows) for name in found.names}
    form = form_of("kernel" if plan.fusion == "kernel" else "stack", found.model)
    patients, classes = len(set(found.groups.tolist())), len(set(found.y.tolist()))
    return refit_bytes(own, form, patients, classes if classes > 2 else 1, PERMUTATIONS)


def _of_scores(found: Validated) -> PermutationTest:
    return permute_scores(
        found.y,
        found.score,
        found.groups,
        n_permutations=PERMUTATIONS,
        inflation=1 + found.training_share,
    )


def _refitted(plan: Plan, found: Validated, blocks: Mapping[str, Block]) -> PermutationTest:
    own = {name: blocks[name].take(found.rows) for name in found.names}
    design = make_design(plan, found.model, found.names, own)
    if design.form == "linear":
        model: Any = RidgeClassifierCV(design.alphas, scoring="roc_auc")
    else:
        kernel = {"kernel": "precomputed"} if design.form == "rbf" else {
            "kernel": "rbf", "gamma": design.gamma,
        }  # fmt: skip
        model = LSSVCCV([1 / alpha for alpha in design.alphas[::2]], scoring="roc_auc", **kernel)
    return permutation_test(
        model,
        design.matrix,
        found.y[design.owner],
        found.groups[design.owner],
        n_permutations=PERMUTATIONS,
        scoring="roc_auc",
    )
