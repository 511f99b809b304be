"""Options of the command that stand for a value of one column: COLUMN=VALUE."""

from __future__ import annotations

__all__ = ["check_choices", "check_reading", "read_channels", "read_pairs", "read_windows"]

_MODELS = ("ridge", "linear", "lssvm", "svm", "deep")
_KERNELS = ("lssvm", "svm")
_OF_NETWORKS = "; networks are fused by `--fusion stack` or `--fusion late`"


def check_choices(model: str, fusion: str, interactions: bool, task: str) -> None:
    """Refuse choices that cannot be, in the words of the command line."""
    from fastmm._check import one_of  # with NumPy, which --help does not need

    one_of(model, "--model", _MODELS)
    one_of(fusion, "--fusion", ("stack", "kernel", "late"))
    one_of(task, "--task", ("auto", "classification", "regression"))
    if fusion == "kernel" and model not in _KERNELS:
        raise ValueError(
            f"`--fusion kernel` needs `--model lssvm` or `--model svm`, got {model}, which has no "
            f"kernels{_OF_NETWORKS if model == 'deep' else ''}."
        )
    if interactions and fusion != "kernel":
        raise ValueError(f"`--interactions` needs `--fusion kernel`, got {fusion}.")
    if task == "regression" and model in ("svm", "deep"):
        raise ValueError(
            f"`--task regression` needs `--model ridge`, `linear` or `lssvm`, got {model}."
        )
    if model == "deep":  # before the first pixel is read
        from fastmm.deep.tensors import import_torch

        import_torch()


def check_reading(pool: str, outside: str, device: str) -> None:
    """Refuse choices for images that cannot be, also where no column needs them."""
    from fastmm._check import one_of

    one_of(pool, "--pool", ("mean", "max", "stack", "rows"))
    one_of(outside, "--outside", ("blank", "keep"))
    one_of(device, "--device", ("auto", "cpu", "cuda"))


def read_windows(texts: list[str]) -> dict[str, tuple[float, float]]:
    """Read COLUMN=CENTER,WIDTH."""
    windows = {}
    for text in texts:
        column, equals, numbers = text.rpartition("=")
        try:
            center, width = (float(number) for number in numbers.split(","))
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"`--window` must be COLUMN=CENTER,WIDTH, got {text!r}.")
        windows[column] = (center, width)
    return windows


def read_channels(texts: list[str]) -> dict[str, int]:
    """Read COLUMN=N, the channel of colour images."""
    channels = {}
    for text in texts:
        column, _, number = text.rpartition("=")
        if not column or number not in ("0", "1", "2"):
            raise ValueError(f"`--channel` must be COLUMN=N with N 0, 1 or 2, got {text!r}.")
        channels[column] = int(number)
    return channels


def read_pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    """Read IMAGE=VALUE, as `form` words it."""
    pairs = {}
    for text in texts:
        image, _, value = text.partition("=")
        if not image or not value:
            raise ValueError(f"`{option}` must be {form}, got {text!r}.")
        pairs[image] = value
    return pairs
