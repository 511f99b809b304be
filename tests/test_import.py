"""What an import costs, which names there are, and which module may know which."""

from __future__ import annotations

import ast
import inspect
from graphlib import TopologicalSorter
from types import ModuleType

import pytest
from harness import ROOT, run_python

import fastmm

HEAVY = ["numba", "cupy", "sklearn", "pandas", "matplotlib", "scipy", "torch", "pydicom"]
MODULES = sorted(p for p in (ROOT / "fastmm").rglob("*.py"))
PUBLIC = sorted(set(fastmm.__all__) - {"__version__"})


def loaded(code):
    """List the heavy packages that are loaded after the code has run."""
    code += f"\nimport sys\nprint('loaded', *(m for m in {HEAVY} if m in sys.modules))"
    return set(run_python(code).splitlines()[-1].split()[1:])


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def type_checking_names():
    """Map each name of the TYPE_CHECKING block to the module it comes from."""
    tree = ast.parse((ROOT / "fastmm" / "__init__.py").read_text())
    (block,) = [n for n in tree.body if isinstance(n, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    names = {}
    for node in block.body:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                assert alias.asname == alias.name, "type checkers re-export only `x as x`"
                names[alias.name] = node.module
    return names


def test_import_fastmm_loads_nothing_heavy():
    assert loaded("import fastmm") == set()
    assert loaded("import fastmm; dir(fastmm); fastmm.__version__") == set()


def test_operators_stay_free_of_scikit_learn():
    code = """
import numpy as np, fastmm
X = np.eye(4, dtype="f4")
fastmm.resize(X, (2, 2)); fastmm.window(X, 0, 1); fastmm.normalize(X)
fastmm.extract_patches(X, (2, 2)); fastmm.stack_features({"a": X}).apply({"a": X})
fastmm.rbf_kernel(X); fastmm.linear_kernel(X)
"""
    assert loaded(code) <= {"numba", "scipy"}  # Numba looks for SciPy's BLAS


def test_readers_stay_free_of_scikit_learn():
    code = "import fastmm; fastmm.read_volume, fastmm.load_images, fastmm.Volume"
    assert not loaded(code) & {"sklearn", "pandas", "matplotlib", "torch", "cupy"}


def test_the_type_checking_block_lists_the_same_names():
    names = type_checking_names()
    assert {n: m.removeprefix("fastmm.") for n, m in names.items()} == fastmm._HOMES
    assert set(fastmm.__all__) == {*names, *fastmm._MODULES, "__version__"}
    assert fastmm.__all__ == sorted(fastmm.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_resolves(name):
    value = getattr(fastmm, name)
    assert name in dir(fastmm)
    if name in fastmm._MODULES:
        assert isinstance(value, ModuleType)
    else:
        assert value.__module__ == f"fastmm.{fastmm._HOMES[name]}"
        assert value.__name__ == name


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented(name):
    value = getattr(fastmm, name)
    text = inspect.getdoc(value)
    assert text
    assert text.splitlines()[0].endswith(".")
    if isinstance(value, ModuleType):
        return
    assert "\nExamples\n" in text
    if inspect.isfunction(value):
        assert "\nReturns\n" in text or not inspect.signature(value).parameters
    for parameter in inspect.signature(value).parameters:
        assert parameter in text, f"{parameter} is not described"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'fastmm' has no attribute 'no_such'"):
        fastmm.no_such  # noqa: B018


def test_no_public_function_shares_its_name_with_a_module_beside_it():
    # After `from fastmm.x import x` the attribute of the package would be the module.
    modules = {p.stem for p in (ROOT / "fastmm").iterdir() if p.is_dir() or p.suffix == ".py"}
    assert not modules & set(fastmm._HOMES)


def test_packages_re_export_nothing():
    for path in MODULES:
        if path.name == "__init__.py" and path.parent.name not in ("fastmm", "kernels"):
            (docstring,) = ast.parse(path.read_text()).body
            assert isinstance(docstring, ast.Expr)


def imports(path, names, *, everywhere):
    """List the modules of fastmm that a file imports, at its top or anywhere."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else tree.body
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return (found & names) - {"fastmm", dotted(path)}


def test_imports_form_no_circle():
    names = {dotted(p) for p in MODULES}
    graph = {dotted(p): imports(p, names, everywhere=True) for p in MODULES if p.parent != ROOT}
    graph.pop("fastmm")
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_packages_form_no_circle():
    names = {dotted(p) for p in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        if len(name := dotted(path).split(".")) > 1:
            used = {n.split(".")[1] for n in imports(path, names, everywhere=True)}
            graph.setdefault(name[1], set()).update(used - {name[1]})
    assert {"read", "image", "solve", "validate", "fusion", "findings"} <= set(graph)
    TopologicalSorter(graph).prepare()


def test_data_flows_one_way():
    order = ["read", "image", "loading", "features", "regions", "fuse", "grams", "pairwise"]
    order += ["solve", "validate", "fusion", "explain", "findings", "jobs", "commands"]
    names = {dotted(p) for p in MODULES}
    for path in MODULES:
        stage = dotted(path).split(".")[1] if dotted(path) != "fastmm" else ""
        if stage not in order:
            continue
        later = set(order[order.index(stage) + 1 :])
        used = {n.split(".")[1] for n in imports(path, names, everywhere=True)}
        assert not used & later, f"{path.relative_to(ROOT)} knows what comes after it"


def test_the_ground_floor_knows_nothing_above_it():
    names = {dotted(p) for p in MODULES}
    floor = {f"fastmm.{n}" for n in ("_space", "_check", "errors", "_interp", "_memory", "_taps")}
    for name in floor:
        path = ROOT / "fastmm" / f"{name.removeprefix('fastmm.')}.py"
        assert imports(path, names, everywhere=True) <= floor | {"fastmm.kernels"}
