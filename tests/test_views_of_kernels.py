"""Views that count no references are not used once their array may be freed.

Numba frees an array that a function has made after the last use of its name; at the
earliest after the loops, within those where it is made, around that use.
"""

import ast
import inspect
from pathlib import Path

import fastmm.kernels._jit as jit
import pytest

KERNELS = Path(inspect.getfile(jit)).parent


def assigned(statement):
    """Give the names that a statement binds, each with what it binds them to."""
    for target in statement.targets:
        value = statement.value
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            yield from zip(target.elts, value.elts, strict=False)  # of "a, *b = c, d", enough
        else:
            yield target, value


def is_call(node, *names):
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names


def dangling(source):
    """Name the views that are used after the array they look at."""
    found = []
    for function in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)):
        loops = [n for n in ast.walk(function) if isinstance(n, (ast.For, ast.While))]
        uses: dict[str, list[int]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                uses.setdefault(node.id, []).append(node.lineno)
        made: dict[str, int] = {}
        views: list[tuple[str, str]] = []
        for statement in (n for n in ast.walk(function) if isinstance(n, ast.Assign)):
            for target, value in assigned(statement):
                if not isinstance(target, ast.Name):
                    continue
                if is_call(value, "stretch"):
                    views.append((target.id, ast.unparse(value.args[0])))
                elif is_call(value, "np.empty", "np.zeros", "np.full"):
                    made[target.id] = statement.lineno
        for view, array in views:
            if array not in made:
                continue  # an argument, which whoever calls holds
            born, last = made[array], max(uses[array])
            around = [n for n in loops if born < n.lineno <= last <= (n.end_lineno or 0)]
            freed = max([n.end_lineno or 0 for n in around], default=last)
            if max(uses[view], default=0) > freed:
                found.append(f"{function.name}: {view} of {array}")
    return found


@pytest.mark.parametrize("file", sorted(KERNELS.glob("*.py")), ids=lambda file: file.stem)
def test_no_view_outlives_its_array(file):
    assert dangling(file.read_text(encoding="utf-8")) == []


def test_a_view_that_does_is_found():
    source = """
def rows(out):
    for task in prange(4):
        room = np.empty(8)
        line, other = stretch(room, 0, 4), stretch(room, 4, 4)
        for j in range(4):
            line[j] = other[j]
"""
    assert dangling(source) == ["rows: line of room", "rows: other of room"]
    assert dangling(source + "            room[j] = 0\n") == []
