"""Mutated model files: a model or a ModelFileError, soon, in little memory, nothing written.

Half are damaged bytes; half are forged, with a checksum that is right. The normal run takes
300 files, ``FASTMM_MODEL_MUTATIONS=10000`` more, in a process of its own.
"""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from harness import ROOT, run_python
from mutations import WAYS

import fastmm
from fastmm.blocks import Block
from fastmm.errors import ModelFileError
from fastmm.model_file import _checksum, load_notes

COUNT = int(os.environ.get("FASTMM_MODEL_MUTATIONS", "300"))
SECONDS, KILOBYTES = 5.0, 500_000
N = 12


def models() -> list[Any]:
    """Fit one model of each kind a file may hold."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 4)), np.arange(N) % 2
    kinds = {"ct": fastmm.ImageModality(shape=(8, 8)), "case": fastmm.TableModality()}
    data = {
        "ct": Block(rng.normal(size=(N, 3)).astype("float32"), np.arange(N) != 3),
        "case": kinds["case"].extract({"age": list(range(N)), "sex": ["f", "m", ""] * (N // 3)}),
    }
    named = np.where(y == 1, "sick", "well")
    found = [fastmm.RidgeCV().fit(X, y), fastmm.LSSVCCV().fit(X, named), fastmm.SVC().fit(X, y)]
    for solver, fusion in (("ridge", "stack"), ("lssvm", "kernel"), ("ridge", "late")):
        model = fastmm.MultimodalClassifier(kinds, solver=solver, fusion=fusion)
        found.append(model.fit(data, named))
    found.append(fastmm.PatchDictionary((3, 3), n_atoms=4).fit(rng.normal(size=(4, 9, 9))))
    images = rng.normal(size=(3, 9, 9))
    found.append(fastmm.DensePatchRidge((3, 3)).fit(images, rng.normal(size=(3, 7, 7))))
    return found


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """List every place of a tree, as (parent, key)."""
    places = list(tree.items() if isinstance(tree, dict) else enumerate(tree))
    found = [(tree, key) for key, _ in places]
    for _, value in places:
        if isinstance(value, (dict, list)):
            found += _nodes(value)
    return found


def _junk(rng: random.Random, arrays: dict[str, Any]) -> Any:
    deep: Any = 1
    for _ in range(rng.choice((3, 3000))):
        deep = [deep]
    return rng.choice([
        None, True, -1, 0, 2**70, 1e308, float("nan"), "", "../../out", "/etc/passwd", [], {},
        deep, {"object": "Popen", "state": {}}, {"object": ["Ridge"], "state": {}},
        {"object": rng.choice(("Ridge", "FisherVectors", "BlockFusion")), "state": {}},
        {"object": "Ridge", "state": {"fit": 1, "__class__": 2}}, {"tuple": [1, [2]]},
        {"dict": [[[1], 2]]}, {"dict": 3}, {"slice": [1]}, {"slice": ["a", None]},
        {"texts": ["x" * 100_000] + ["y"] * 100_000}, {"texts": [1, [2]]},
        {"array": rng.choice([*arrays, "none"])}, {"array": 5},
    ])  # fmt: skip


def _forge_tree(rng: random.Random, tree: Any, arrays: dict[str, Any]) -> None:
    parent, key = rng.choice(_nodes(tree))
    way = rng.randrange(4)
    if way == 0:
        del parent[key]
    elif way == 1 and isinstance(parent, dict):
        parent[rng.choice(("..", "fit", "__init__", "coef_", key + "_"))] = parent.pop(key)
    elif way == 2:
        other, at = rng.choice(_nodes(tree))
        parent[key] = copy.deepcopy(other[at])
    else:
        parent[key] = _junk(rng, arrays)


def _forge_arrays(rng: random.Random, tree: Any, arrays: dict[str, Any]) -> None:
    name = rng.choice(list(arrays))
    array = arrays[name]
    way = rng.randrange(6)
    if way == 0:
        other = rng.choice(list(arrays))
        arrays[name], arrays[other] = arrays[other], array
    elif way == 1:
        arrays["../" * 3 + name] = arrays.pop(name)
    elif way == 2 and array.size and array.dtype.kind == "f":
        array = arrays[name] = array.copy()
        array.reshape(-1)[0] = rng.choice((np.nan, np.inf, 1e300))
    elif way == 3:
        arrays[name] = array.astype(rng.choice((np.int8, np.float16, bool)))
    elif way == 4:
        arrays[name] = rng.choice((array[:0] if array.ndim else array, array[None], array.ravel()))
    else:
        arrays[name] = np.zeros(rng.choice(((0, 3), (1,), (7, 5, 2))))


def forged(rng: random.Random, data: bytes) -> bytes:
    """Change what a file says, and give it the checksum of that."""
    arrays = safetensors.numpy.load(data)
    size = int.from_bytes(data[:8], "little")
    tree = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["fastmm"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # casts that overflow
        for _ in range(rng.choice((1, 1, 2, 5))):
            way = rng.random()
            if not tree or not arrays or way < 0.7:
                _forge_tree(rng, tree, arrays) if tree else None
            else:
                _forge_arrays(rng, tree, arrays)
    header = json.dumps(tree)
    if rng.random() < 0.02:
        header = rng.choice(("{", "[" * 50_000, "9" * 5000, "null", '"x"', header + ","))
    arrays = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    told = {"fastmm": header, "sha256": _checksum(header, arrays)}
    return bytes(safetensors.numpy.save(arrays, metadata=told))


def damaged(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Change bytes: of the length, of the header or of the arrays."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not found:
            break
        if rng.random() < 0.1:
            found[:8] = rng.choice((0, 1, 2**40, 2**63, 2**64 - 1)).to_bytes(8, "little")
        elif rng.random() < 0.1:
            huge = rng.choice((b"[1099511627776]", b"[4294967296,4294967296]", b"[-1]", b"[]"))
            found = bytearray(bytes(found).replace(b"[4]", huge, 1))
        else:
            rng.choice(WAYS)(rng, found, others)
    return bytes(found)


def run(count: int, seed: int) -> None:
    """Load `count` mutated files in the process this is called in."""
    rng, seen = random.Random(seed), Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "model.fastmm"
        whole = [fastmm.save_model(model, path).read_bytes() for model in models()]
        base, slowest, longest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0, 0
        for number in range(count):
            data = rng.choice(whole)
            sys.setrecursionlimit(20_000)  # to write what is nested deeply; it is read as usual
            data = forged(rng, data) if number % 2 else damaged(rng, data, whole)
            sys.setrecursionlimit(1000)
            path.write_bytes(data)
            start = time.process_time()
            for load in (fastmm.load_model, load_notes):
                try:
                    load(path)
                    seen["read"] += 1
                except ModelFileError as error:
                    longest = max(longest, len(str(error)))
                    seen["ModelFileError"] += 1
                except BaseException:
                    print(f"file {number} of run({count}, {seed})")
                    raise
            slowest = max(slowest, time.process_time() - start)
            assert longest < 1000
            assert slowest < SECONDS, f"file {number} took {slowest:.1f} s"
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
            assert grown < KILOBYTES, f"file {number} took {grown} kB"
            assert [each.name for each in folder.iterdir()] == ["model.fastmm"]
    print(dict(seen), f"slowest {slowest:.2f} s, {grown} kB")


def test_mutated_model_files():
    code = f"from test_model_mutations import run; run({COUNT}, 0)"
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    said = run_python(code, PYTHONPATH=path, timeout=120 + COUNT)
    print(said)
    assert "'read'" in said
    assert "'ModelFileError'" in said
