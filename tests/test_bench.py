"""`fastmm bench`: what is measured is right, and told as it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from fastmm._space import Space, cuda_available
from fastmm.bench import devices, limits, running, timing
from fastmm.bench.cases import HUGE, SIZES, Stage
from fastmm.bench.comparing import compare, read_results
from fastmm.bench.image_cases import interpolated, windowed
from fastmm.bench.limits import Limits
from fastmm.bench.roofline import plot_roofline
from fastmm.cli import app
from fastmm.errors import FastmmError

CPU = Space("cpu")
TINY = {
    "load": (3,),
    "preprocess": (3,),
    "resize": (3,),
    "patches": (2,),
    "dense patches": (6, 2, 12, 5),
    "dictionary": (2,),
    "stack": (12,),
    "gram": (30, 8),
    "ridge": (30, 8, 6),
    "lssvm": (60, 5),
    "end to end": (6,),
}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(running, "_SECONDS", {False: 0.001, True: 0.001})
    monkeypatch.setattr(limits, "_SECONDS", 0.001)
    monkeypatch.setattr(
        running, "measure_limits", lambda space, quick: Limits(1e10, 1e11, 5e10, 1e-6)
    )
    small = tuple(replace(s, sizes=dict.fromkeys(s.sizes, TINY[s.name])) for s in running.stages())
    monkeypatch.setattr(running, "stages", lambda: small)
    return small


@pytest.fixture
def found(tiny):
    return running.run_stages([CPU], quick=True)


def test_every_stage_is_right(found):
    assert {row["stage"] for row in found["results"]} == set(TINY)
    assert not found["skipped"]
    for row in found["results"]:
        assert row["right"], (row["stage"], row["error"])
        assert row["least_seconds"] > 0
        assert 0 < row["seconds"]["least"] <= row["seconds"]["median"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.gpu
def test_every_stage_is_right_on_a_gpu(tiny):
    if not cuda_available():
        pytest.skip("no usable GPU")
    found = running.run_stages(devices.find_spaces("cuda"), quick=True)
    assert [row["stage"] for row in found["results"] if not row["right"]] == []


@pytest.mark.parametrize("stage", TINY)
def test_a_wrong_result_is_told(tiny, stage):
    case = next(s for s in tiny if s.name == stage).make(CPU, *TINY[stage])
    try:
        right = case.call(*case.arguments)
        assert case.check(right) <= case.tolerance
        assert case.check(spoiled(right)) > case.tolerance
    finally:
        if case.close is not None:
            case.close()


def spoiled(result):
    if hasattr(result, "coef_") and isinstance(result.coef_, dict):
        result.coef_ = {name: block * (1 + 1e-6) for name, block in result.coef_.items()}
        return result
    if isinstance(result, tuple):
        return result[0], spoiled(result[1])
    if hasattr(result, "cv_decision_"):
        result.cv_decision_ = result.cv_decision_ + 1e-5
        return result
    if hasattr(result, "cv_predictions_"):
        result.cv_predictions_ = result.cv_predictions_ + 1e-2
        return result
    return result + 1e-4


def test_a_stage_that_fails_ends_no_other(tiny, monkeypatch, tmp_path):
    stage = next(s for s in tiny if s.name == "patches")

    def broken(space, *size):
        raise RuntimeError("no such thing\nand more")

    monkeypatch.setattr(running, "stages", lambda: (replace(stage, make=broken, name="b"), stage))
    path = tmp_path / "found.json"
    done = CliRunner().invoke(app, ["bench", "--quick", "--device", "cpu", "--json", str(path)])
    assert isinstance(done.exception, ValueError)
    found = json.loads(path.read_text())
    assert [row["stage"] for row in found["results"]] == ["patches"]
    assert [row["why"] for row in found["failed"]] == ["RuntimeError: no such thing"]
    assert "b, small, cpu failed: RuntimeError" in " ".join(done.output.split())


def test_a_wrong_stage_fails_the_command(tiny, monkeypatch):
    stage = next(s for s in tiny if s.name == "patches")

    def off(space, *size):
        case = stage.make(space, *size)
        return replace(case, call=lambda x: case.call(x) + 1)

    monkeypatch.setattr(running, "stages", lambda: (replace(stage, make=off),))
    done = CliRunner().invoke(app, ["bench", "--quick", "--device", "cpu"])
    assert "WRONG" in done.output
    assert isinstance(done.exception, ValueError)


def test_the_files_of_the_load_are_removed(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running.run_stages([CPU], quick=True, only=["load"])
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_left_out_and_told(tiny, monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda: 1000)
    found = running.run_stages([CPU], quick=True, only=["resize"])
    assert not found["results"]
    assert "needs about" in found["skipped"][0]["why"]


def test_oracles_of_images_agree_with_opencv():
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the oracle")
    image = np.random.default_rng(0).random((1, 40, 40))
    np.testing.assert_allclose(
        interpolated(image, 12)[0], cv2.resize(image[0], (12, 12)), atol=1e-12
    )
    assert windowed(np.array([-1350 + 1024, 150 + 1024])).tolist() == [0, 1]


def test_rounds_take_the_sets_in_turn():
    seen = []
    found = timing.time_call(seen.append, [(0,), (1,), (2,)], lambda: None, 0.0)
    assert seen == [0, 1, 2, 0, 1]  # two of warm-up, three at least
    assert found.rounds == 3


def test_no_input_is_still_in_the_cache(monkeypatch):
    monkeypatch.setattr(timing, "last_level_cache", lambda device: 1000)
    x = np.ones(100, np.float32)
    sets = timing.rotation(({"a": x},), CPU)
    assert len(sets) == 5
    assert len({id(s[0]["a"]) for s in sets}) == 5


def test_peak_memory_counts_what_was_allocated():
    with timing.peak_memory(CPU) as peak:
        np.ones(2_000_000)
        assert 16e6 <= peak() < 17e6


def test_limits_are_work_over_time(monkeypatch):
    called = []

    def two_seconds(space, call):
        called.append(call())
        return 2.0

    monkeypatch.setattr(limits, "_median", two_seconds)
    assert limits.copy_bandwidth(CPU, 4000) == 4000  # read and written
    assert limits.gemm_rate(CPU, "float32", 100) == 100**3
    assert limits.measure_limits(CPU, quick=True).launch == 2
    assert len(called) == 6


def test_the_roofline_is_the_slower_of_bytes_and_flops():
    device = Limits(copy=10.0, float32=100.0, float64=50.0, launch=0.0)
    assert device.least_seconds(20, 100, "float32") == 2
    assert device.least_seconds(20, 400, "float32") == 4
    assert device.least_seconds(20, 400, "float64") == 8


def test_compare(found, tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(found))
    before, after = read_results(file), read_results(file)
    for row in after["results"]:
        row["seconds"] = {name: value / 2 for name, value in row["seconds"].items()}
    after["results"][0]["task"] = "another task"
    pairs = compare(before, after)
    assert len(pairs) == len(TINY) - 1
    assert all(pair["ratio"] == 2 for pair in pairs)
    assert not any(pair["clear"] for pair in compare(before, before))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"fastmm_bench": 2}',
        '{"fastmm_bench": 1, "results": [{}]}',
        "[" * 10**5,
    ],
)
def test_files_that_hold_no_results(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(FastmmError, match=r"a\.json"):
        read_results(file)


def test_command(tiny, tmp_path):
    file, picture = tmp_path / "a.json", tmp_path / "a.png"
    call = ["bench", "--quick", "--device", "cpu", "--stage", "gram", "--stage", "resize"]
    done = CliRunner().invoke(app, [*call, "--json", str(file), "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [row["stage"] for row in read_results(file)["results"]] == ["gram", "resize"]
    again = CliRunner().invoke(app, ["bench", "--compare", str(file), str(file)])
    assert "1.00 x" in again.output
    piped = CliRunner().invoke(app, [*call, "--json", "-"])
    assert json.loads(piped.stdout)["quick"] is True


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--stage", "nope"], "must be one of load"), (["--device", "tpu"], "must be one of")],
)
def test_options_that_are_wrong(tiny, options, told):
    done = CliRunner().invoke(app, ["bench", *options])
    assert told in str(done.exception)


def test_two_devices_are_drawn_side_by_side(found, tmp_path):
    other = dict(found["devices"][0], device="cuda:0", name="another")
    rows = [dict(row, device="cuda:0") for row in found["results"]]
    both = dict(found, devices=[*found["devices"], other], results=[*found["results"], *rows])
    widths = []
    for name, results in (("one.svg", found), ("two.svg", both)):
        plot_roofline(results, tmp_path / name)
        head = (tmp_path / name).read_text().partition('viewBox="0 0 ')[2]
        widths.append(float(head.split()[0]))
    assert widths[1] == 2 * widths[0]


def test_stages_are_named_once():
    stages = running.stages()
    assert len({stage.name for stage in stages}) == len(stages)
    for stage in stages:
        assert isinstance(stage, Stage)
        assert tuple(stage.sizes)[:3] == SIZES
        assert set(stage.sizes) <= {*SIZES, HUGE}
