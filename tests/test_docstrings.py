"""The examples in docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import re

import pytest
from harness import ROOT

import fastmm

MODULES = sorted(
    ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for p in (ROOT / "fastmm").rglob("*.py")
    if p.name != "__main__.py"
)


NEEDS = {"fastmm.deep.classifier": "torch"}  # what examples of a module need beside fastmm


def load(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"the examples of {name} need {NEEDS[name]}")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").startswith("fastmm"):
            raise
        pytest.skip(f"{name} needs a package that is not installed: {error}")


def run(test):
    printed = io.StringIO()
    doctest.DocTestRunner().run(test, out=printed.write)
    return printed.getvalue()


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, monkeypatch, tmp_path):
    module = load(name)
    monkeypatch.chdir(tmp_path)  # what an example writes stays out of the checkout
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        assert run(test) == ""


@pytest.mark.parametrize("name", sorted(fastmm._HOMES))
def test_every_public_name_has_an_example(name):
    module = load(f"fastmm.{fastmm._HOMES[name]}")
    text = inspect.getdoc(getattr(module, name))
    if (other := re.search(r"^See `(\w+)`", text, re.MULTILINE)) is not None:
        name = other[1]  # one example serves both, as for a writer and its reader
    found = {t.name for t in doctest.DocTestFinder().find(module, module.__name__) if t.examples}
    assert any(t.startswith(f"{module.__name__}.{name}") for t in found)


def test_a_wrong_example_is_caught():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "planted", None, 0)
    assert "Expected" in run(test)
