"""What all tests and benchmarks share: the array libraries, oracles, and the real cohorts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
REAL_DATA = Path(__file__).resolve().parent.parent / "shared" / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the whole suite on several cores, unless told how many (``-n 0``: in one process)."""
    whole = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    if "PYTEST_XDIST_WORKER" in os.environ:  # a worker starts none of its own
        return
    if whole and config.pluginmanager.hasplugin("xdist") and config.option.numprocesses is None:
        config.option.numprocesses = min(4, os.cpu_count() or 1)
        config.option.dist = "loadfile"
        # Files by name: those of many tests first, as is usual, would leave the few tests that
        # take longest (benchmarks, commands, clusters) to one worker at the end.
        config.option.loadscopereorder = False


@dataclass(frozen=True)
class Arrays:
    """One array library, as a test sees it: how to bring data there and back."""

    name: str

    def asarray(self, array: Any) -> Any:
        host = np.asarray(array)
        if self.name == "cupy":
            import cupy

            return cupy.asarray(host)
        if self.name == "simulator":
            from numba import cuda

            return cuda.to_device(host)
        return host

    def asnumpy(self, array: Any) -> np.ndarray:
        """Bring a result back, insisting that it stayed where its input was."""
        if self.name == "cupy":
            import cupy

            assert isinstance(array, cupy.ndarray)
            return cupy.asnumpy(array)
        if self.name == "simulator":
            assert type(array).__module__.startswith("numba.cuda.simulator")
            return array.copy_to_host()
        assert isinstance(array, np.ndarray)
        return array

    @property
    def namespace(self) -> Any:
        """The library itself: CuPy's arrays do not name it (no ``__array_namespace__``)."""
        if self.name == "cupy":
            import cupy

            return cupy
        return np

    @property
    def small(self) -> bool:
        """Say whether only small sizes are bearable here."""
        return self.name == "simulator"


def gpu_fault() -> str | None:
    from fastmm._space import _cuda_fault

    return _cuda_fault()


@pytest.fixture(
    params=[
        "numpy",
        pytest.param("cupy", marks=pytest.mark.gpu),
        *([pytest.param("simulator", marks=pytest.mark.cudasim)] if SIMULATED else []),
    ]
)
def xp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The array libraries a public call must serve, one after the other.

    On a device the test fails unless some CUDA build was launched, so that a silent
    detour over the host cannot pass for a GPU result. Tests of calls that launch no
    kernel of fastmm's use ``xp_any``.
    """
    arrays = _arrays(request.param)
    if arrays.name == "numpy":
        yield arrays
        return
    from fastmm.kernels._jit import Kernel

    launched: list[str] = []
    method = "run_cuda" if arrays.name == "cupy" else "run_simulator"
    original = getattr(Kernel, method)

    def counting(self: Any, *args: Any) -> None:
        launched.append(self.name)
        original(self, *args)

    monkeypatch.setattr(Kernel, method, counting)
    yield arrays
    assert launched, "no CUDA build was launched"


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp_any(request: pytest.FixtureRequest) -> Arrays:
    """NumPy and CuPy, for calls that may launch no kernel of fastmm's own."""
    return _arrays(request.param)


def _arrays(name: str) -> Arrays:
    if name == "cupy":
        fault = gpu_fault()
        if fault is not None:
            pytest.skip(f"no usable GPU: {fault}")
    return Arrays(name)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cohorts beside the checkout."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real cohorts (../shared/data) are not beside this checkout")
    return REAL_DATA


@pytest.fixture
def cv2() -> Any:
    return pytest.importorskip("cv2", reason="OpenCV is the oracle")


@pytest.fixture
def tifffile() -> Any:
    return pytest.importorskip("tifffile", reason="tifffile is the oracle")


@pytest.fixture(scope="session")
def good_slice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DICOM file that is right, of 6 x 5 pixels."""
    from dicom_files import write

    return write(tmp_path_factory.mktemp("good") / "good.dcm")


@pytest.fixture(scope="session")
def small_phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the synthetic cohort of 16 patients in few small slices."""
    from fastmm.datasets import make_cohort

    folder = tmp_path_factory.mktemp("cohort") / "data"
    return make_cohort(folder, n_patients=16, seed=1, slices=3, shape=(64, 64))
