"""What a wheel and an sdist hold, and that kernels are found wherever they lie."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec

import pytest
from harness import ROOT, run_python

import fastmm

RUN = """
    import sys, numpy as np, fastmm
    from fastmm.kernels.resizing import linear
    assert fastmm.resize(np.arange(4.0).reshape(2, 2), (1, 1)).item() == 1.5
    print(fastmm.__file__, sys.modules["fastmm.kernels._jit"].__file__)
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """An sdist of the checkout, and the wheel built from that sdist."""
    for tool in ("build", "hatchling"):
        if find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def sources(folder):
    return {p.relative_to(ROOT / folder).as_posix() for p in (ROOT / folder).rglob("*.py")}


def test_the_wheel_holds_all_modules_and_the_kernels_below_them(distributions):
    names = set(zipfile.ZipFile(distributions[1]).namelist())
    expected = {f"fastmm/{p}" for p in sources("fastmm")}
    expected |= {f"fastmm/kernels/{p}" for p in sources("kernels")}
    assert expected <= names
    assert "fastmm/py.typed" in names
    # Another project owns the top-level name `kernels`, and tests are nobody's to install.
    assert {n.partition("/")[0] for n in names} == {
        "fastmm",
        f"fastmm-{fastmm.__version__}.dist-info",
    }


def test_the_wheel_declares_what_it_needs(distributions):
    wheel = zipfile.ZipFile(distributions[1])
    folder = f"fastmm-{fastmm.__version__}.dist-info"
    metadata = wheel.read(f"{folder}/METADATA").decode()
    assert f"\nVersion: {fastmm.__version__}\n" in metadata
    assert "\nLicense-Expression: BSD-3-Clause\n" in metadata
    assert "fastmm = fastmm.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()


def test_the_sdist_holds_sources_and_tests_and_nothing_else(distributions):
    with tarfile.open(distributions[0]) as archive:
        names = {n.partition("/")[2] for n in archive.getnames()}
    for folder in ("fastmm", "kernels", "tests"):
        assert {f"{folder}/{p}" for p in sources(folder)} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "conftest.py"} <= names
    assert not [n for n in names if n.startswith((".git/", "shared")) or n.endswith(".pyc")]


def test_an_installed_wheel_runs_its_own_kernels(distributions, tmp_path):
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--disable-pip-version-check", "--target", str(target), str(distributions[1])]
    subprocess.run(command, check=True)
    settings = {"PYTHONPATH": str(target), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    package, kernels = run_python(RUN, cwd=tmp_path, **settings).split()
    assert package == str(target / "fastmm" / "__init__.py")
    assert kernels == str(target / "fastmm" / "kernels" / "_jit.py")
    assert list((tmp_path / "cache").rglob("*.nbc"))


def test_a_checkout_runs_without_installing(tmp_path):
    package, kernels = run_python(RUN, cwd=tmp_path, PYTHONPATH=str(ROOT)).split()
    assert package == str(ROOT / "fastmm" / "__init__.py")
    assert kernels == str(ROOT / "kernels" / "_jit.py")


def test_python_runs_the_checkout_from_its_root(tmp_path):
    assert run_python(RUN, cwd=ROOT, PYTHONPATH=None).split()[1] == str(ROOT / "kernels/_jit.py")


def test_the_hash_of_kernels_is_the_same_installed_and_not(distributions, tmp_path):
    zipfile.ZipFile(distributions[1]).extractall(tmp_path)
    code = "from fastmm.kernels._cache import source_hash; print(source_hash())"
    installed = run_python(code, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert installed == run_python(code, cwd=tmp_path, PYTHONPATH=str(ROOT))
