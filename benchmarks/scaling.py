"""What a study costs as its patients grow from 100 to 1,000,000: measured, and planned beyond.

``python benchmarks/scaling.py [--json FILE] [--svg FILE] [--readme FILE]``
measures each stage at sizes that this machine can bear, in less than 4 minutes, compares it with
the planner, and draws both. --one-thread measures the processor time of one thread, for a machine
that others work on, too; --planned takes the measurements of a record made before. The study: one
CT of 40 slices of 512 x 512 pixels a patient, 20 columns of a table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from one_core import be_alone, one_core

from fastmm.bench.machine import describe
from fastmm.blocks import Block
from fastmm.datasets import make_cohort
from fastmm.findings.validation import deal_times
from fastmm.jobs.plan_table import say_seconds
from fastmm.modalities import ImageModality
from fastmm.multimodal import MultimodalClassifier
from fastmm.planner import plan
from fastmm.planning import rates
from fastmm.planning.fit_costs import Fit, fit_parts, fit_work
from fastmm.planning.machines import STATED_GPU, STATED_NODE, Machine, this_machine
from fastmm.solve.kernel.lssvm import LSSVC
from fastmm.solve.ridge.search import RidgeCV
from fastmm.validate.out_of_fold import out_of_fold

SLICES, WIDTH, COLUMNS = 40, 450, 20
COUNTS = tuple(10 ** (k / 2) for k in range(4, 13))  # 100 to 1,000,000
READ, RIDGE, MACHINES = (100, 300, 900), (100, 1000, 10_000, 100_000), (100, 1000, 4000)
VALIDATED = (100, 1000, 10_000)
# A node of NVIDIA's DGX H200 by its data sheet: 112 cores, 2 TB; storage taken as 20 GB/s.
DGX = replace(
    STATED_NODE, name="DGX H200", cores=112, memory=2e12, copy=450e9, float32=2 * 112 * 40e9,
    float64=112 * 40e9, storage=20e9,
)  # fmt: skip
NODES = 4
_ALONE = "--one-thread" in sys.argv


def clock() -> float:
    return time.process_time() if _ALONE else time.perf_counter()


def measure() -> dict[str, dict[str, float]]:
    """Return seconds by stage and number of patients."""
    found: dict[str, dict[str, float]] = {}
    for stage, patients, seconds in measurements():
        found.setdefault(stage, {})[str(patients)] = seconds
        print(f"{stage:32} {patients:9,} patients {say_seconds(seconds)}", flush=True)
    return found


def measurements() -> Iterator[tuple[str, int, float]]:
    """Measure stage by stage, the cheap sizes first."""
    yield from images()
    for n in RIDGE:
        X, y = rows_of(n)
        seconds = least(lambda X=X, y=y: RidgeCV(np.logspace(-3, 3, 13)).fit(X, y), n < 5000)
        yield "ridge search", n, seconds
        seconds = least(lambda X=X: X.T @ X, n < 5000)
        yield "Gram matrix, float32", n, seconds
    for n in MACHINES:
        X, y = rows_of(n)
        yield "LS-SVM, one C", n, least(lambda X=X, y=y: LSSVC().fit(X, y > 0), n < 3000)
    model = MultimodalClassifier({"ct": ImageModality()})
    for n in VALIDATED:
        X, y = rows_of(n)
        blocks, names = {"ct": Block(X, np.ones(n, bool))}, np.arange(n).astype(str)
        start = clock()
        out_of_fold(model, blocks, (y > 0).astype(int), names, repeats=deal_times(n))
        yield "validation", n, clock() - start


def images() -> Iterator[tuple[str, int, float]]:
    """Read examinations and compute their features, some at a time, as a limit would have it."""
    modality = ImageModality(window=(-600.0, 1500.0), units="HU")
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_cohort(Path(folder) / "cohort", 6, slices=SLICES, shape=(512, 512), missing=0)
        scans = sorted(cohort.parent.glob("P*/ct"))
        modality.extract(modality.load(scans[:2]).images)  # compiled, and in memory
        for n in READ:
            reading = computing = 0.0
            for start in range(0, n, 50):
                begin = clock()
                some = [scans[i % len(scans)] for i in range(start, min(start + 50, n))]
                loaded = modality.load(some).images
                middle = clock()
                modality.extract(loaded)
                reading += middle - begin
                computing += clock() - middle
            yield "read, window, resize", n, reading
            yield "features", n, computing


def rows_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.standard_normal(n, np.float32)
    X = rng.standard_normal((n, WIDTH), np.float32)
    X[:, :20] += 0.3 * y[:, None]
    return X, y


def least(call: Callable[[], Any], again: bool) -> float:
    times = []
    for _ in range(3 if again else 1):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def planned(patients: float, machine: Machine) -> dict[str, float]:
    """Return seconds by stage as the planner has them."""
    n = round(patients)
    (outlook,) = plan(
        patients=n, slices=SLICES, columns=COLUMNS, machine=machine, device="cpu",
        memory_limit="8GB",
    ).outlooks  # fmt: skip
    stages = {stage.name: stage.seconds for stage in outlook.stages}
    alone = fit_parts(Fit(n, {"ct": WIDTH}))
    search = sum(alone[part].seconds(machine) for part in list(alone)[1:-1])
    kernel = Fit(n, {"ct": WIDTH}, "lssvm")
    parts = fit_parts(kernel)
    return {
        "read, window, resize": stages["read, window, resize"],
        "features": stages["features"],
        "ridge search": search,
        "LS-SVM, one C": parts["Gram matrix"].seconds(machine)
        + parts["factorise"].seconds(machine) / 7,
        "validation": 10 * deal_times(n) * fit_work(Fit(0.9 * n, {"ct": WIDTH})).seconds(machine),
        "ridge study": outlook.seconds,
    }


def clusters(patients: int, here: Machine) -> list[tuple[str, float, str]]:
    """Return for each machine the seconds of a study, and its longest stage."""
    found = []
    for name, machine, share in (
        (here.name, replace(here, storage=STATED_NODE.storage), 1.0),
        ("node of 32 cores", STATED_NODE, 1.0),
        (f"{NODES} nodes of 32 cores", STATED_NODE, 1.0 / NODES),
        ("DGX H200, images on 8 GPUs", DGX, 1.0),
    ):
        gpu = STATED_GPU if "GPU" in name else None
        given = {"patients": patients, "slices": SLICES, "columns": COLUMNS}
        (outlook,) = plan(
            **given, machine=machine, memory_limit="8GB", gpu=gpu,
            device="cpu" if gpu is None else "cuda",
        ).outlooks  # fmt: skip
        seconds = {stage.name: stage.seconds for stage in outlook.stages}
        # Workers read and compute features, each its share; models are fitted on one.
        spread = share if gpu is None else 1 / 8
        seconds["read, window, resize"] *= share
        seconds["features"] *= spread
        whole = {name: s for name, s in seconds.items() if not name.startswith(" ")}
        most = max(whole, key=lambda stage: whole[stage])
        if outlook.needs.peak > machine.memory:
            most = "does not fit into memory"
        found.append((name, sum(whole.values()), most))
    return found


def turning_points(machine: Machine) -> list[str]:
    """Say where each stage stops to be what it was."""
    kernel = (machine.memory / (8 * 3.6)) ** 0.5
    whole = machine.memory / (SLICES * 4 * 128 * 128)
    rows = machine.memory / (4 * WIDTH * 13)
    stored = 2 * 512 * 512 + 1000
    busy = rates.FILE + stored * rates.PIXEL_BYTE
    return [
        f"files: {busy * 1e6:.0f} microseconds of a core for a slice of {stored / 1e3:.0f} kB: "
        f"from {busy * STATED_NODE.storage / stored:.1f} cores on, storage of "
        f"{STATED_NODE.storage / 1e9:g} GB/s is the slower one, and from "
        f"{busy * DGX.storage / stored:.0f} cores on, storage of {DGX.storage / 1e9:g} GB/s; "
        f"{rates.FILE_LONE * 1e6:.0f} microseconds of Python a file stay with one core",
        f"images: more than {whole:,.0f} patients are not in memory at once ({machine.name}); "
        "read in turn, they cost as much a patient",
        f"Gram matrix: n x n to n = {WIDTH} rows (cost n^2), {WIDTH} x {WIDTH} beyond (cost n)",
        f"ridge search: n^3 to n = {WIDTH}, linear beyond; its rows fill memory at {rows:,.0f}",
        f"kernel machine: n^3 throughout; the kernel and its factor fill memory at {kernel:,.0f}",
        "tuning of weights and widths: n^3 to 1,500 rows, which stand for all beyond",
        "validation: a fit a patient to 10 patients, 30 fits to 100, 10 fits beyond",
    ]


def table(record: dict[str, Any], machine: Machine) -> str:
    """Return the tables of the README."""
    lines = [
        "| stage | patients | measured | planned | planned / measured |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for stage, times in record["measured"].items():
        for patients, seconds in times.items():
            expected = planned(float(patients), machine).get(stage)
            cells = ("", "") if expected is None else (
                say_seconds(expected), f"{expected / seconds:.2f}"
            )  # fmt: skip
            lines.append(
                f"| {stage} | {int(patients):,} | {say_seconds(seconds)} | {' | '.join(cells)} |"
            )
    names = [name for name, *_ in clusters(100, machine)]
    lines += ["", f"| patients | {' | '.join(names)} |", "| ---: |" + " ---: |" * len(names)]
    for count in (100, 1000, 10_000, 100_000, 1_000_000):
        cells = [f"{say_seconds(whole)} ({most})" for _, whole, most in clusters(count, machine)]
        lines.append(f"| {count:,} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"- {text}." for text in turning_points(machine))])


def draw(record: dict[str, Any], machine: Machine, file: Path) -> None:
    """Draw what was measured as dots, what is planned as lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    curves = [planned(n, machine) for n in COUNTS]
    figure, axes = pyplot.subplots(figsize=(7.5, 4.8), layout="constrained")
    for number, stage in enumerate(curves[0]):
        colour = f"C{number}"
        shown = [(n, c[stage]) for n, c in zip(COUNTS, curves, strict=True)]
        if stage.startswith("LS-SVM"):
            shown = [(n, s) for n, s in shown if 8 * 3.6 * n * n < machine.memory]
        dashed = stage == "ridge study"
        axes.plot(*zip(*shown, strict=True), color=colour, ls="--" if dashed else "-", label=stage)
        dots = record["measured"].get(stage, {})
        axes.plot([int(n) for n in dots], list(dots.values()), "o", color=colour)
    axes.set(xscale="log", yscale="log", xlabel="patients", ylabel="seconds")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, title="dots: measured; lines: planned", fontsize=8)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--json", "--svg", "--readme", "--planned"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--one-thread", action="store_true")
    args = parser.parse_args()
    if _ALONE:
        be_alone()
    if args.planned:
        record = json.loads(args.planned.read_text())
        machine = Machine(**record["rates"])
    else:
        # The few scans that are read again and again lie in memory.
        machine = one_core() if _ALONE else replace(this_machine(), storage=5e9)
        record = {"machine": describe(), "rates": asdict(machine), "measured": measure()}
        record["one_thread"] = _ALONE
        record["load_at_end"] = os.getloadavg()[0]
    if args.json:
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    text = table(record, machine)
    print(text)
    if args.svg:
        draw(record, machine, args.svg)
    if args.readme:
        from summary import put_into_readme

        put_into_readme(text, args.readme, "growing cohorts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
