"""What a launch hands to the driver: what Numba's code expects, from arrays of a device."""

from __future__ import annotations

import ctypes
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastmm.kernels._launching import Launcher, _type_of, kind_of
from fastmm.kernels._linked import _parts, store_of
from harness import SIMULATED, all_kernels
from strict_array import wrapped

STORE = store_of("name", lambda out: None)
X = np.arange(24, dtype=np.float32).reshape(3, 8)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend a driver; return what it was told to launch."""
    told: list[Any] = []

    def launch(*given: Any) -> None:
        *where, stream, pointers, extra = given
        assert extra == 0
        told.append((*where, stream, pointers))

    module = SimpleNamespace(load=lambda code: told.append(code))
    module.get_function = lambda name: SimpleNamespace(ptr=len(name))
    cuda = SimpleNamespace(
        Device=lambda: SimpleNamespace(compute_capability="90"),
        driver=SimpleNamespace(launchKernel=launch),
        runtime=SimpleNamespace(getDevice=lambda: 0, free=lambda address: None),
        function=SimpleNamespace(Module=lambda: module),
    )
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    monkeypatch.setattr("fastmm.kernels._linked.cache_folder", lambda: None)
    return told


@pytest.fixture
def folder(launched: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep builds in a folder of the test's own."""
    monkeypatch.setattr("fastmm.kernels._linked.cache_folder", lambda: tmp_path)
    return tmp_path / "cuda"


def compiled(seen: list[Any]) -> Any:
    def compile_for(types: Any) -> Any:
        seen.append(types)
        library = SimpleNamespace(get_cubin=lambda: SimpleNamespace(code=b"code"))
        return SimpleNamespace(_codelibrary=library, entry_name="name")

    return compile_for


def never(*launched: Any) -> None:
    raise AssertionError("started by Numba")


def test_parameters_are_the_facts_of_arrays_one_after_the_other(
    launched: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    values: list[bytes] = []

    def read(*given: Any) -> None:
        assert given[:9] == (4, 7, 1, 1, 256, 1, 1, 0, 99)
        pointers = ctypes.cast(given[9], ctypes.POINTER(ctypes.c_void_p))
        values.extend(ctypes.string_at(pointers[i], 8) for i in range(13))

    monkeypatch.setattr(sys.modules["cupy.cuda"].driver, "launchKernel", read)
    turned = wrapped(X[::2, ::-1])
    Launcher(compiled([]), never, STORE).launch(
        7, 256, 99, (5, turned, True, np.float32(0.5), 1 / 3)
    )
    array = [0, 0, 16, 4, turned._host.ctypes.data, 2, 8, 64, -4]
    numbers = [int.from_bytes(v, "little", signed=True) for v in values[:10]]
    assert numbers == [5, *array]
    assert values[10] == b"\1" + bytes(7)
    assert np.frombuffer(values[11], np.float32)[0] == np.float32(0.5)
    assert np.frombuffer(values[12])[0] == 1 / 3


def test_code_is_made_once_for_each_dtype_rank_and_layout(launched: list[Any]) -> None:
    seen: list[Any] = []
    launcher = Launcher(compiled(seen), never, STORE)
    arrays = [X, X + 1, X.T, X[:, ::2], X[0], X.astype("f8"), X > 2, X[:1]]
    for array in arrays:
        launcher.launch(1, 256, 0, (1, wrapped(array)))
    kinds = [(str(types[1].dtype), types[1].ndim, types[1].layout) for types in seen]
    assert kinds == [
        *(("float32", 2, layout) for layout in "CFA"), ("float32", 1, "C"),
        ("float64", 2, "C"), ("bool", 2, "C"),
    ]  # fmt: skip
    assert launched.count(b"code") == 6
    assert len(launched) == 6 + len(arrays)


def test_arrays_of_the_host_and_unknown_scalars_are_refused(launched: list[Any]) -> None:
    launcher = Launcher(compiled([]), never, STORE)
    for wrong in (X, "name", np.int8(3), [1]):
        with pytest.raises((AttributeError, TypeError, KeyError)):
            launcher.launch(1, 256, 0, (1, wrong))
    assert not [told for told in launched if told != b"code"]


def test_numba_starts_what_cupy_cannot_and_says_so_once(
    launched: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(code: bytes) -> None:
        raise RuntimeError("CUDA_ERROR_NO_BINARY_FOR_GPU")

    module = sys.modules["cupy.cuda"].function.Module()
    monkeypatch.setattr(module, "load", refuse)
    started: list[Any] = []
    launcher = Launcher(compiled([]), lambda *given: started.append(given), STORE)
    array = wrapped(X)
    with pytest.warns(RuntimeWarning, match="starts through Numba.*NO_BINARY"):
        launcher.launch(7, 256, 99, (5, array))
    launcher.launch(3, 256, 0, (5, array))
    assert started == [(7, 256, 99, (5, array)), (3, 256, 0, (5, array))]
    assert not launched


def test_linked_code_is_kept_for_the_next_process(launched: list[Any], folder: Path) -> None:
    seen: list[Any] = []
    for _ in range(2):  # as two processes: nothing is shared but the folder
        launcher = Launcher(compiled(seen), never, STORE)
        launcher.launch(1, 256, 0, (1, wrapped(X)))
        launcher.launch(1, 256, 0, (1, wrapped(X[0])))
    assert len(seen) == 2
    assert [told for told in launched if told == b"code"] == [b"code"] * 4
    assert sorted(path.suffix for path in folder.iterdir()) == [".cubin"] * 2


def test_other_code_other_kinds_and_other_devices_have_files_of_their_own(folder: Path) -> None:
    def twice(x: float) -> float:
        return 2 * x

    def thrice(x: float) -> float:
        return 3 * x

    def loop(out: Any) -> list[float]:
        return [twice(x) for x in out]

    kinds = [(int,), (float,), (kind_of(wrapped(X)),), (kind_of(wrapped(X.T)),)]
    stores = [store_of("a", loop, twice), store_of("a", loop, thrice), store_of("b", loop, twice)]
    files = [s.file(k, cc) for s in stores for k in kinds for cc in ("80", "90")]
    assert len(set(files)) == 24
    assert store_of("a", loop, twice) == stores[0]  # and the same in every process:
    assert "0x" not in repr(_parts(loop.__code__))


@pytest.mark.parametrize("length", [0, 30, 70, 72])
def test_damaged_code_is_compiled_anew(launched: list[Any], folder: Path, length: int) -> None:
    seen: list[Any] = []
    Launcher(compiled(seen), never, STORE).launch(1, 256, 0, (1,))
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    Launcher(compiled(seen), never, STORE).launch(1, 256, 0, (1,))
    assert len(seen) == 2
    assert path.read_bytes() == whole


def test_kept_code_that_the_driver_refuses_is_compiled_anew(
    launched: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    Launcher(compiled(seen), never, STORE).launch(1, 256, 0, (1,))
    module = sys.modules["cupy.cuda"].function.Module()
    plain, faults = module.load, [RuntimeError("CUDA_ERROR_INVALID_IMAGE")]

    def load(code: bytes) -> None:
        if faults:
            raise faults.pop()
        plain(code)

    monkeypatch.setattr(module, "load", load)
    Launcher(compiled(seen), never, STORE).launch(1, 256, 0, (1,))
    assert len(seen) == 2
    assert len(launched) == 4  # code and launch, twice


@pytest.mark.ptx
@pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
@pytest.mark.skipif(SIMULATED, reason="the simulator does not compile")
def test_parameters_are_as_many_and_as_large_as_the_code_expects() -> None:
    table = np.ones((3, 2), np.float32)
    args = (np.ones((3, 4), np.float32), np.ones((3, 4), np.uint8), table, np.ones(3, np.uint8))
    given = [*map(wrapped, args), True, wrapped(np.ones((6, 3, 2), np.float32))]
    ptx = all_kernels()["moments.measure"].ptx(
        tuple(_type_of(kind_of(arg)) for arg in given), (9, 0)
    )
    head = ptx[ptx.index(".entry") :].partition("{")[0]
    sizes = [int(bits) // 8 for bits in re.findall(r"\.param \.[usbf](\d+) ", head)]
    expected = [8]
    for arg in given:
        expected += [1] if arg is True else [8] * (5 + 2 * arg.ndim)
    assert sizes == expected
