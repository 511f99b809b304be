"""Training runs side by side: results in order, progress added up, failures that end all."""

import threading

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from fastmm.deep import at_once  # noqa: E402
from fastmm.deep.at_once import train_at_once  # noqa: E402


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(at_once, "_cores", lambda: 2)


def test_runs_meet_and_return_in_order(two_cores):
    before, meeting = torch.get_num_threads(), threading.Barrier(2, timeout=20)

    def run(number):
        def train(progress):
            meeting.wait()  # never passes unless another run is under way
            progress(1, 2)
            progress(2, 2)
            return number, torch.get_num_threads()

        return train

    told = []
    found = train_at_once([run(i) for i in range(4)], lambda *own: told.append(own))
    assert found == [(i, 1) for i in range(4)]
    assert torch.get_num_threads() == before
    assert told == sorted(told)
    assert told[-1] == (4000, 4000)
    assert len(told) == 8


def test_one_after_the_other_on_a_gpu():
    inside = []

    def run(progress):
        inside.append(threading.get_ident())

    train_at_once([run, run], together=False)
    assert set(inside) == {threading.get_ident()}


def test_a_failure_ends_what_is_under_way(two_cores):
    meeting, rounds = threading.Barrier(2, timeout=20), []

    def endless(progress):
        meeting.wait()
        for _ in range(2_000):
            progress(0, 1)
            rounds.append(threading.Event().wait(0.01))

    def fails(progress):
        meeting.wait()
        raise ValueError("diverged")

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="diverged"):
        train_at_once([fails, endless])
    assert len(rounds) < 1_900
    assert torch.get_num_threads() == before
