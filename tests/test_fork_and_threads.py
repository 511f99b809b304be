"""Parallel kernels after a fork and from many threads, where a crash would end pytest."""

from __future__ import annotations

import multiprocessing
import sys

import pytest
from harness import run_python

needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork"
)
layers = pytest.mark.parametrize("layer", ["default", "workqueue"])

COMMON = """
    import multiprocessing, sys, threading, warnings
    import numpy as np
    import fastmm

    images = np.random.default_rng(0).normal(size=(2, 200, 200)).astype("f4")

    def parallel():
        return fastmm.resize(images, (150, 170))
"""


@needs_fork
@layers
def test_a_forked_child_runs_what_its_parent_ran(layer):
    code = (
        COMMON
        + """
    def work(_):
        return parallel()

    expected = parallel()
    warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads running
    context = multiprocessing.get_context("fork")

    def child():
        for _ in range(3):
            np.testing.assert_array_equal(parallel(), expected)

    for _ in range(2):
        process = context.Process(target=child)
        process.start()
        process.join(60)
        assert process.exitcode == 0, process.exitcode
    np.testing.assert_array_equal(parallel(), expected)  # the parent goes on
    with context.Pool(2) as pool:
        for got in pool.map_async(work, range(4)).get(60):
            np.testing.assert_array_equal(got, expected)
    print("done")
    """
    )
    assert "done" in run_python(code, NUMBA_THREADING_LAYER=layer)


@needs_fork
def test_a_child_forked_while_threads_run_kernels():
    code = (
        COMMON
        + """
    expected = parallel()
    warnings.simplefilter("ignore", DeprecationWarning)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            parallel()

    threads = [threading.Thread(target=busy) for _ in range(3)]
    [t.start() for t in threads]
    context = multiprocessing.get_context("fork")

    def child():
        np.testing.assert_array_equal(parallel(), expected)

    for _ in range(4):
        process = context.Process(target=child)
        process.start()
        process.join(60)
        if process.exitcode != 0:
            stop.set()
            process.kill()
            raise SystemExit(f"exit code {process.exitcode}")
    stop.set()
    print("done")
    """
    )
    assert "done" in run_python(code, NUMBA_THREADING_LAYER="workqueue")


@needs_fork
@pytest.mark.parametrize("first", ["parent", "child"])
def test_workers_of_a_pytorch_loader(first):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    code = """
    import warnings
    import numpy as np, torch
    import fastmm

    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(6, 1, 200, 200)).astype("f4"))

    class Dataset(torch.utils.data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, i):
            return fastmm.resize(images[i], (190, 210))

    (images @ images.mT).sum()  # PyTorch has its own threads by now
    if FIRST == "parent":
        fastmm.resize(images, (190, 210))
    warnings.simplefilter("ignore", DeprecationWarning)
    loader = torch.utils.data.DataLoader(
        Dataset(), batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    got = torch.cat(list(loader))
    np.testing.assert_array_equal(got.numpy(), fastmm.resize(images, (190, 210)).numpy())
    print("done")
    """.replace("FIRST", repr(first))
    assert "done" in run_python(code)


THREADS = (
    COMMON
    + """
    sys.setswitchinterval(1e-5)
    barrier, wrong = threading.Barrier(8), []

    def work(seed):
        rng = np.random.default_rng(seed)
        a = rng.normal(seed, 1, (2, 190, 180)).astype("f4")
        patches = np.lib.stride_tricks.sliding_window_view(a, (8, 8), axis=(1, 2))[:, ::4, ::4]
        rows = a[0, :, :16].copy()
        wide = rows.astype("f8")
        square = ((wide[:, None] - wide[None]) ** 2).sum(-1)
        barrier.wait()
        try:
            for _ in range(ROUNDS):
                got = fastmm.resize(a, (95, 360))
                # Down by a half and up by two, both exact in closed form.
                mean = (a[:, ::2].astype("f8") + a[:, 1::2]) / 2
                np.testing.assert_allclose(
                    got[:, :, 1:-1:2], mean[:, :, :-1] * 0.75 + mean[:, :, 1:] * 0.25, atol=1e-4
                )
                np.testing.assert_array_equal(
                    fastmm.extract_patches(a, (8, 8), step=4), patches
                )
                np.testing.assert_allclose(
                    fastmm.stack_features({"a": a.reshape(19, -1)}).X,
                    (lambda b: (b - b.mean(0)) / b.std(0))(a.reshape(19, -1).astype("f8")),
                    atol=1e-4,
                )
                np.testing.assert_allclose(
                    fastmm.rbf_kernel(rows, gamma=0.01), np.exp(-0.01 * square), atol=1e-5
                )
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join(100) for t in threads]
    assert not any(t.is_alive() for t in threads), "a thread hangs"
    if wrong:
        raise wrong[0]
    import numba
    print("done", numba.threading_layer())
"""
)


@layers
def test_eight_threads_from_a_cold_start(layer, tmp_path):
    settings = {"NUMBA_THREADING_LAYER": layer, "NUMBA_CACHE_DIR": str(tmp_path)}
    printed = run_python(THREADS.replace("ROUNDS", "3"), **settings)
    assert "done" in printed
    assert layer in ("default", printed.split()[-1])


def test_importing_kernels_starts_no_threads():
    code = """
    import threading, fastmm.kernels.resizing
    assert threading.active_count() == 1
    print("done")
    """
    assert "done" in run_python(code)


@needs_fork
def test_after_a_fork_kernels_are_serial():
    code = """
    import os
    from fastmm.kernels._jit import _THREADS
    assert not _THREADS.forked
    if (child := os.fork()) == 0:
        os._exit(0 if _THREADS.forked else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not _THREADS.forked
    print("done")
    """
    assert "done" in run_python(code)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_a_fork_before_the_import_is_noticed():
    code = """
    import os
    if (child := os.fork()) == 0:
        from fastmm.kernels._jit import _THREADS
        os._exit(0 if _THREADS.forked else 1)
    assert os.waitpid(child, 0)[1] == 0
    print("done")
    """
    assert "done" in run_python(code)
