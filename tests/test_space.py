"""The array contract: who comes in, leaves as what it came, unmoved and unchanged."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import numpy as np
import pytest
from harness import SIMULATED

import fastmm
from fastmm import _space

# Every operator that takes arrays, with a call of one argument.
OPERATORS = {
    "resize": lambda a: fastmm.resize(a, (3, 7)),
    "resize to a volume": lambda a: fastmm.resize(a, (2, 3, 7)),
    "window": lambda a: fastmm.window(a, 40, 400),
    "normalize": fastmm.normalize,
    "normalize in a mask": lambda a: fastmm.normalize(a, "minmax", mask=a),
    "extract_patches": lambda a: fastmm.extract_patches(a, (2, 3), step=2),
    "stack_features": lambda a: fastmm.stack_features({"a": a}).X,
    "StackedFeatures.apply": lambda a: fastmm.stack_features({"a": a}).apply({"a": a}),
    "linear_kernel": lambda a: fastmm.linear_kernel(a[0]),
    "rbf_kernel": lambda a: fastmm.rbf_kernel(a[0], a[1], gamma=0.01),
}
operators = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())
SHAPE = (4, 5, 6)


def draw(dtype="float32"):
    return np.random.default_rng(0).normal(40, 30, SHAPE).astype(dtype)


def contiguous(array, folder):
    return array.copy()


def fortran(array, folder):
    return np.asfortranarray(array)


def strided(array, folder):
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    wide[::2, 1::2, ::2] = array
    return wide[::2, 1::2, ::2]


def negative_strides(array, folder):
    return array[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]


def read_only(array, folder):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def big_endian(array, folder):
    return array.astype(array.dtype.newbyteorder(">"))


def unaligned(array, folder):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = array.view(np.uint8).ravel()
    taken = raw[1:].view(array.dtype).reshape(array.shape)
    assert not taken.flags.aligned
    return taken


def memory_mapped(array, folder):
    path = folder / "array.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def nested_lists(array, folder):
    return array.tolist()


LAYOUTS = [
    contiguous,
    fortran,
    strided,
    negative_strides,
    read_only,
    big_endian,
    unaligned,
    memory_mapped,
]


@operators
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_every_layout_gives_the_same_values_and_stays_unchanged(operator, layout, dtype, tmp_path):
    array = draw(dtype)
    given = layout(array, tmp_path)
    before = np.array(given)
    got = operator(given)
    assert type(got) is np.ndarray
    assert got.dtype.isnative
    assert got.flags.writeable
    assert not np.shares_memory(got, given)
    np.testing.assert_array_equal(got, operator(array))
    np.testing.assert_array_equal(np.array(given), before)


@operators
def test_lists_are_taken(operator):
    array = draw("float64")
    np.testing.assert_array_equal(operator(array.tolist()), operator(array))


@operators
def test_broadcast_arrays_are_taken(operator):
    array = np.broadcast_to(draw()[:1], SHAPE)
    np.testing.assert_array_equal(operator(array), operator(array.copy()))


@operators
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.ma.masked_invalid(draw()), TypeError, "is a masked array.* fill it first"),
        (draw().astype(complex), ValueError, "Complex data not supported"),
        (draw().astype(np.longdouble), TypeError, "at most 64 bits, got dtype"),
        (draw().astype(object), TypeError, "must hold real numbers.* got dtype object"),
        (draw().astype("datetime64[s]"), TypeError, "must hold real numbers"),
    ],
)
def test_what_is_no_array_of_real_numbers_is_refused(operator, given, error, message):
    with pytest.raises(error, match=message):
        operator(given)


@pytest.mark.parametrize("given", ["scan.dcm", b"1234", 5, 2.5, object()])
def test_what_is_no_array_at_all_is_refused(given):
    with pytest.raises(TypeError, match=f"`images` must be an array, got {type(given).__name__}"):
        fastmm.resize(given, (2, 2))


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="`images` does not form an array"):
        fastmm.resize([[1, 2], [3]], (2, 2))


class Elsewhere:
    """An array on another device, as DLPack sees it."""

    def __init__(self, kind):
        self.kind = kind

    def __dlpack_device__(self):
        return self.kind, 0

    def __dlpack__(self, **_):
        raise BufferError("this device shares nothing")

    def __len__(self):
        return 1


def test_an_unknown_device_is_named():
    with pytest.raises(TypeError, match="`images` lives on a device of DLPack type 10; CPU and"):
        fastmm.resize(Elsewhere(10), (2, 2))


def test_an_array_that_cannot_be_shared_says_why():
    with pytest.raises(TypeError, match=r"`images` \(Elsewhere\) .* this device shares nothing"):
        fastmm.resize(Elsewhere(1), (2, 2))


@pytest.fixture
def other_device(monkeypatch):
    """An array that fastmm takes to live on a GPU, with or without one."""
    cupy = ModuleType("cupy")
    cupy.from_dlpack = lambda array: array
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    namespace = ModuleType("elsewhere")
    namespace.from_dlpack = lambda array: array
    monkeypatch.setattr(Elsewhere, "__array_namespace__", lambda self: namespace, raising=False)
    return Elsewhere(2)


@pytest.mark.parametrize(
    "call",
    [
        lambda here, there: fastmm.rbf_kernel(here, there),
        lambda here, there: fastmm.linear_kernel(here, there),
        lambda here, there: fastmm.normalize(here, mask=there),
    ],
)
def test_arguments_on_two_devices_are_refused(other_device, call):
    with pytest.raises(TypeError, match=r"lives on the cpu but `\w+` lives on cuda:0; move one"):
        call(np.eye(3), other_device)


def test_blocks_on_two_devices_are_refused(other_device):
    with pytest.raises(TypeError, match=r"`blocks\['a'\]` lives on the cpu but `blocks\['b'\]`"):
        fastmm.stack_features({"a": np.eye(3), "b": other_device})


def test_new_rows_on_another_device_than_the_fit_are_refused(monkeypatch):
    fitted = fastmm.stack_features({"a": np.eye(3)})
    real = _space._take_in

    def everything_new_is_elsewhere(array, name):
        space, taken, leave = real(array, name)
        return (_space.Space("cuda", 1) if name.startswith("blocks") else space), taken, leave

    monkeypatch.setattr(_space, "_take_in", everything_new_is_elsewhere)
    monkeypatch.setattr(_space.Space, "xp", np)
    with pytest.raises(TypeError, match="stacked on the cpu but `blocks` live on cuda:1"):
        fitted.apply({"a": np.eye(3)})


@pytest.mark.cudasim
@pytest.mark.skipif(not SIMULATED, reason="needs Numba's simulator (NUMBA_ENABLE_CUDASIM=1)")
def test_the_simulator_is_another_device():
    from numba import cuda

    with pytest.raises(TypeError, match="`X` lives on the cpu but `Y` lives on the simulator"):
        fastmm.rbf_kernel(np.eye(3), cuda.to_device(np.eye(3)))


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@operators
@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "float16", "bool"])
def test_tensors_leave_as_tensors(torch, operator, dtype):
    array = draw("float32") > 40 if dtype == "bool" else draw().astype(dtype)
    tensor = torch.from_numpy(array)
    got = operator(tensor)
    assert type(got) is torch.Tensor
    assert got.device.type == "cpu"
    np.testing.assert_array_equal(got.numpy(), operator(array))
    np.testing.assert_array_equal(operator(tensor.mT.contiguous().mT).numpy(), got.numpy())


def test_tensors_enter_without_a_copy(torch):
    tensor = torch.zeros(3, 4)
    _, (taken,), _ = _space.enter(images=tensor)
    tensor[1, 2] = 5
    assert taken[1, 2] == 5


def test_results_leave_without_a_copy(torch):
    _, _, leave = _space.enter(images=torch.zeros(3))
    native = np.zeros(4)
    tensor = leave(native)
    native[2] = 7
    assert tensor[2] == 7


def test_all_of_a_stack_leaves_as_tensors(torch):
    block = torch.from_numpy(draw("float32"))
    fitted = fastmm.stack_features({"a": block})
    for array in (fitted.X, fitted.origin, fitted.shift, fitted.factor, fitted.apply({"a": block})):
        assert type(array) is torch.Tensor


def test_subclasses_of_tensors_from_other_packages_are_tensors(torch, monkeypatch):
    class MetaTensor(torch.Tensor):
        pass

    MetaTensor.__module__ = "imaging_package.data"
    monkeypatch.setitem(sys.modules, "imaging_package", ModuleType("imaging_package"))
    array = draw("float32")
    got = fastmm.resize(torch.from_numpy(array).as_subclass(MetaTensor), (3, 3))
    np.testing.assert_array_equal(got.numpy(), fastmm.resize(array, (3, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda torch: torch.zeros(4, 4, requires_grad=True), r"gradient, use tensor\.detach\(\)"),
        (lambda torch: torch.nn.Parameter(torch.zeros(4, 4)), r"gradient, use tensor\.detach\(\)"),
        (lambda torch: torch.zeros(4, 4, dtype=torch.bfloat16), "`images` .* dtype"),
        (lambda torch: torch.zeros(4, 4, device="meta"), "`images` .* meta"),
        (lambda torch: torch.eye(4).to_sparse(), "`images` .* layout"),
    ],
)
def test_tensors_that_cannot_be_shared_are_refused(torch, make, message):
    with pytest.raises(TypeError, match=message):
        fastmm.resize(make(torch), (2, 2))


def test_arrays_of_mixed_libraries_leave_as_the_first(torch):
    X, Y = draw()[0], torch.from_numpy(draw()[1])
    assert type(fastmm.rbf_kernel(X, Y)) is np.ndarray
    assert type(fastmm.rbf_kernel(Y, X)) is torch.Tensor


@pytest.mark.parametrize("device", ["gpu", "CUDA", "", None, 0])
def test_a_device_has_one_of_three_names(device):
    with pytest.raises(ValueError, match='`device` must be one of "auto", "cpu", "cuda"'):
        _space.space_for(device)


def test_the_cpu_is_always_there():
    assert _space.space_for("cpu") == _space.Space("cpu")


@pytest.fixture
def broken_cuda(monkeypatch):
    """A machine with CuPy whose driver does not work."""

    def fail():
        raise RuntimeError("cudaErrorInsufficientDriver: too old\nand more")

    cupy = ModuleType("cupy")
    cupy.cuda = ModuleType("cupy.cuda")
    cupy.cuda.runtime = ModuleType("cupy.cuda.runtime")
    cupy.cuda.runtime.getDeviceCount = fail
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()
    yield
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()


def test_a_broken_cuda_is_said_once_and_the_cpu_taken(broken_cuda, caplog):
    with caplog.at_level(logging.DEBUG, logger="fastmm"):
        assert [_space.space_for("auto").kind for _ in range(3)] == ["cpu"] * 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "using the CPU" in record.message
    assert "cudaErrorInsufficientDriver: too old" in record.message


def test_a_broken_cuda_asked_for_is_an_error(broken_cuda):
    with pytest.raises(ValueError, match=r"needs a usable GPU: RuntimeError: cudaErrorInsuff"):
        _space.space_for("cuda")
    assert not _space.cuda_available()


def test_without_cupy_the_notice_says_what_to_install(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "cupy", None)
    _space._cuda_fault.cache_clear()
    _space._say_choice_once.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger="fastmm"):
            assert _space.space_for("auto").kind == "cpu"
        (record,) = caplog.records
        assert record.levelno == logging.INFO
        assert 'pip install "fastmm[cuda13]"' in record.message
        with pytest.raises(ValueError, match="cupy is not installed"):
            _space.space_for("cuda")
    finally:
        _space._cuda_fault.cache_clear()
        _space._say_choice_once.cache_clear()


@pytest.mark.gpu
def test_a_working_gpu_is_taken():
    fault = _space._cuda_fault()
    if fault is not None:
        pytest.skip(f"no usable GPU: {fault}")
    assert _space.space_for("auto").kind == _space.space_for("cuda").kind == "cuda"
