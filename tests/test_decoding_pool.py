"""The processes that decode: whatever a decoder does, the caller gets an error and lives."""

from __future__ import annotations

import os
import threading
import time

import planted_decoders  # noqa: F401  (the processes must be able to import it)
import pytest
from harness import ROOT, run_python

from fastmm.read.codecs import pool as decoding_pool
from fastmm.read.codecs import process as decoding_process
from fastmm.read.codecs.process import DecoderError

PATHS = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits are those of POSIX")


@pytest.fixture
def decode(monkeypatch):
    """Decode bytes in processes that know the planted decoders."""
    monkeypatch.setattr(decoding_process, "TABLE", "planted_decoders")
    pool = decoding_pool._Pool()
    monkeypatch.setattr(decoding_pool, "_pool", pool)

    def decode(name: str, data: bytes = b"pixels", seconds: float = 20) -> bytes:
        out = bytearray(len(data))
        decoding_pool.decode(name, data, (1, len(data), 1), memoryview(out), seconds)
        return bytes(out)

    yield decode
    pool.close()


@posix
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("hang", "longer than 1 s"),
        ("crash", "ended with code -11"),
        ("exit", "ended with code 3"),
        ("panic", "^Panic$"),
        ("bomb", "more than 6442450944 bytes"),
        ("longer", "gave 7 bytes where 6 were expected"),
        ("missing", "ModuleNotFoundError"),
        ("unknown", "KeyError"),
    ],
)
def test_a_planted_fault_is_an_error_and_the_next_call_works(decode, name, what):
    assert decode("copy") == b"pixels"
    for _ in range(2):
        with pytest.raises(DecoderError, match=what):
            decode(name, seconds=1)
        assert decode("copy", b"more") == b"more"


def test_what_libraries_print_is_no_pixel(decode):
    assert decode("chatter") == b"pixels"
    assert decode("copy") == b"pixels"


def test_more_than_a_pipe_holds_passes(decode):
    data = os.urandom(5 << 20)
    assert decode("copy", data) == data


@posix
def test_a_hang_while_it_is_written_to(decode, monkeypatch):
    assert decode("copy") == b"pixels"
    (worker,) = decoding_pool._pool._all
    os.kill(worker.process.pid, 19)  # SIGSTOP: it neither reads nor answers
    with pytest.raises(DecoderError, match="longer than 1 s"):
        decode("copy", bytes(8 << 20), seconds=1)
    assert decode("copy") == b"pixels"


def test_no_more_processes_than_workers_and_none_left_behind(decode):
    failed: list[int] = []

    def work(seed: int) -> None:
        for i in range(10):
            data = bytes([seed, i]) * 1000
            if decode("copy", data) != data:
                failed.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failed
    workers = list(decoding_pool._pool._all)
    assert 1 <= len(workers) <= decoding_pool.WORKERS
    decoding_pool._pool.close()
    assert all(w.process.poll() is not None for w in workers)
    assert decode("copy") == b"pixels"  # a closed pool starts again


@posix
def test_processes_end_with_their_parent():
    code = """
    import os
    from fastmm.read.codecs import pool
    from fastmm.read.codecs import process as decoding_process
    decoding_process.TABLE = "planted_decoders"
    out = bytearray(4)
    pool.decode("copy", b"abcd", (1, 4, 1), memoryview(out), 9)
    (worker,) = pool._pool._all
    print(worker.process.pid, flush=True)
    {}
    """
    for end in ("", "os._exit(0)", "os.kill(os.getpid(), 9)"):
        try:
            printed = run_python(code.format(end), PYTHONPATH=PATHS)
        except AssertionError as error:  # killed, as it was told
            printed = str(error)
        pid = next(int(word) for word in printed.split() if word.isdigit() and int(word) > 9)
        for _ in range(100):
            if not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
                break
            time.sleep(0.05)
        else:
            pytest.fail("the decoding process outlived its parent")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_starts_its_own():
    code = """
    import os, warnings
    warnings.simplefilter("error")
    from fastmm.read.codecs import pool
    from fastmm.read.codecs import process as decoding_process
    decoding_process.TABLE = "planted_decoders"

    def decode(data):
        out = bytearray(len(data))
        pool.decode("copy", data, (1, len(data), 1), memoryview(out), 9)
        assert out == data
        return {w.process.pid for w in pool._pool._all}

    before = decode(b"abcd")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = int(bool(decode(b"efgh") & before))
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert decode(b"ijkl") == before  # the parent's own still serves
    print("done")
    """
    assert "done" in run_python(code, PYTHONPATH=PATHS)


def test_a_process_that_cannot_start(decode, monkeypatch):
    monkeypatch.setattr(decoding_process.sys, "executable", "/no/such/python")
    with pytest.raises(DecoderError, match="cannot start"):
        decode("copy")


def test_a_process_killed_while_idle_is_replaced(decode):
    assert decode("copy") == b"pixels"
    (worker,) = decoding_pool._pool._all
    worker.process.kill()
    worker.process.wait()
    assert decode("copy") == b"pixels"


def test_an_interrupt_in_the_middle_ends_the_process(decode, monkeypatch):
    assert decode("copy") == b"pixels"
    (worker,) = decoding_pool._pool._all

    def interrupted(out):
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "_receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decode("copy")
    assert worker.process.poll() is not None
    assert decode("copy") == b"pixels"
