"""Compiled kernels between processes: kept, renewed, shared, and done without."""

from __future__ import annotations

import shutil

import pytest
from harness import ROOT, run_python

# Runs every CPU kernel once and prints how many builds were loaded and compiled.
RUN_ALL = """
    import numpy as np, fastmm
    X = np.arange(12, dtype="f4").reshape(3, 4)
    fastmm.resize(X, (2, 3)); fastmm.extract_patches(X, (2, 2))
    fastmm.stack_features({"a": X}); fastmm.rbf_kernel(X); fastmm.rbf_kernel(X.astype("f8"))
    import sys; sys.path.append("tests")
    from harness import all_kernels
    stats = [k._serial.stats for k in all_kernels().values()]
    print(*(sum(sum(getattr(s, f"cache_{x}").values()) for s in stats) for x in ("hits", "misses")))
"""
RESIZE = """
    import numpy as np, fastmm
    print(fastmm.resize(np.arange(4, dtype="f4").reshape(2, 2), (1, 1)).item())
"""
NOTICE = "Compiled kernels cannot be written to disk"


def test_a_second_process_compiles_nothing(tmp_path):
    assert run_python(RUN_ALL, cwd=ROOT, NUMBA_CACHE_DIR=str(tmp_path)).split() == ["0", "5"]
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert len(before) == 5 + 5  # an index and a file for each build
    assert run_python(RUN_ALL, cwd=ROOT, NUMBA_CACHE_DIR=str(tmp_path)).split() == ["5", "0"]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


def test_parallel_builds_are_kept_too(tmp_path):
    code = """
        import numpy as np, fastmm
        from fastmm.kernels.resizing import linear
        assert fastmm.resize(np.ones((400, 400), "f4"), (201, 202)).min() == 1
        print(sum(linear._parallel.stats.cache_hits.values()))
    """
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "0"
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "1"


def test_kernels_that_share_a_loop_keep_their_helpers(tmp_path):
    (tmp_path / "shared_loop.py").write_text(
        "from fastmm.kernels._jit import Kernel, scalar\n"
        "@scalar\n"
        "def twice(x): return 2 * x\n"
        "@scalar\n"
        "def thrice(x): return 3 * x\n"
        "def loop(out):\n"
        "    for i in range(out.size): out[i] = change(out[i])\n"
        'first = Kernel("change", loop, loop, change=twice)\n'
        'second = Kernel("change", loop, loop, change=thrice)\n'
    )
    code = f"""
        import sys; sys.path.append({str(tmp_path)!r})
        import numpy as np, shared_loop
        a, b = np.ones(1), np.ones(1)
        shared_loop.first.run_serial(a); shared_loop.second.run_serial(b)
        print(a[0], b[0])
    """
    for _ in range(2):
        found = run_python(code, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
        assert found.split() == ["2.0", "3.0"]


def test_without_a_name_the_folder_is_the_users(tmp_path):
    run_python(RESIZE, NUMBA_CACHE_DIR=None, XDG_CACHE_HOME=str(tmp_path))
    assert list((tmp_path / "fastmm").rglob("*.nbc"))


def test_a_changed_helper_is_compiled_anew(tmp_path):
    # Numba by itself looks at the file of the loop only, and would run the old helper.
    for folder in ("fastmm", "kernels"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    settings = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    helper = tmp_path / "kernels" / "_interp.py"
    source = helper.read_text()
    assert source.count("return a + (b - a) * weight") == 1
    assert run_python(RESIZE, cwd=tmp_path, **settings).strip() == "1.5"
    helper.write_text(source.replace("return a + (b - a) * weight", "return a - b"))
    assert run_python(RESIZE, cwd=tmp_path, **settings).strip() == "0.0"
    helper.write_text(source)
    assert run_python(RESIZE, cwd=tmp_path, **settings).strip() == "1.5"


def test_without_a_writable_folder_it_runs_and_says_so_once(tmp_path):
    # Below a regular file nobody can write, not even root.
    (tmp_path / "file").touch()
    code = """
        import numpy as np, fastmm
        for dtype in ("f4", "f8"):
            assert fastmm.resize(np.arange(4, dtype=dtype).reshape(2, 2), (1, 1)).item() == 1.5
    """
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path / "file" / "below")).count(NOTICE) == 1


@pytest.mark.parametrize(("kind", "length"), [("nbi", 0), ("nbi", 100), ("nbc", 0), ("nbc", 99)])
def test_damaged_files_are_compiled_anew(tmp_path, kind, length):
    settings = {"NUMBA_CACHE_DIR": str(tmp_path)}
    run_python(RESIZE, **settings)
    (path,) = tmp_path.rglob(f"*.{kind}")
    path.write_bytes(path.read_bytes()[:length])
    assert run_python(RESIZE, **settings).strip() == "1.5"
    code = RESIZE + "    from fastmm.kernels.resizing import linear\n"
    code += "    print(sum(linear._serial.stats.cache_hits.values()))\n"
    assert run_python(code, **settings).split() == ["1.5", "1"]  # repaired


def test_a_full_disk_is_no_reason_to_fail(tmp_path):
    code = """
        import numpy as np, fastmm
        from numba.core import caching

        def full(*_):
            raise OSError(28, "No space left on device")

        caching.IndexDataCacheFile._save_data = full
        for dtype in ("f4", "f8"):
            assert fastmm.resize(np.arange(4, dtype=dtype).reshape(2, 2), (1, 1)).item() == 1.5
    """
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).count(NOTICE) == 1
    assert run_python(RESIZE, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "1.5"


def test_builds_saved_at_once_by_two_processes_do_not_mix(tmp_path):
    # Two savers that both read the index before either wrote it: the second overwrites
    # the index, but must not overwrite the file that the first one's entry may name.
    code = """
        import numpy as np, fastmm
        from numba.core import caching

        real = caching.IndexDataCacheFile._load_index
        caching.IndexDataCacheFile._load_index = lambda self: {}
        for dtype in ("f4", "f8"):
            fastmm.resize(np.arange(4, dtype=dtype).reshape(2, 2), (1, 1))
    """
    run_python(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert len(list(tmp_path.rglob("*.nbc"))) == 2
    assert run_python(RESIZE, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "1.5"
