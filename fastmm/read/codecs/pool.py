"""A pool of processes that decode, so that a hang, a crash or a bomb ends one of them only.

The processes start when they are needed, serve one codestream at a time each, and end with
the one that started them. A child after a fork starts its own.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastmm.read.ahead import CORES
from fastmm.read.codecs.process import BrokenProcessError, DecoderError, Process

__all__ = ["WORKERS", "decode"]

#: Most processes that decode at a time.
WORKERS = CORES


class _Pool:
    """At most `WORKERS` processes, each lent to one thread at a time."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._lent = 0

    @contextmanager
    def borrowed(self) -> Iterator[Process]:
        with self._free:
            while self._lent >= WORKERS:
                self._free.wait()
            self._lent += 1
            worker = self._idle.pop() if self._idle else None
        try:
            if worker is not None and worker.process.poll() is not None:
                self._end(worker)  # somebody killed it while it was idle
                worker = None
            if worker is None:
                worker = Process()
                self._all.add(worker)
            yield worker
        except DecoderError as error:
            if isinstance(error, BrokenProcessError) and worker is not None:
                self._end(worker)
                worker = None
            raise
        except BaseException:  # Ctrl-C in the middle of a reply, say
            if worker is not None:
                self._end(worker)
                worker = None
            raise
        finally:
            with self._free:
                self._lent -= 1
                if worker is not None:
                    self._idle.append(worker)
                self._free.notify()

    def close(self) -> None:
        for worker in list(self._all):
            self._end(worker)

    def forget(self) -> None:
        for worker in list(self._all):
            worker.forget()

    def _end(self, worker: Process) -> None:
        self._all.discard(worker)
        worker.end()


_pool = _Pool()


def decode(name: str, data: bytes, shape: tuple[int, int, int], out: memoryview,
           seconds: float) -> None:  # fmt: skip
    """Decode a codestream in another process.

    Parameters
    ----------
    name : str
        Of the decoder.
    data : bytes
        The codestream.
    shape : (rows, columns, samples)
        Of the image.
    out : memoryview of bytes
        Receives the samples; of exactly their size.
    seconds : float
        Most time the decoder may take once it is running.

    Raises
    ------
    DecoderError
        If the decoder fails in any way: an exception, a crash, a hang, too much memory,
        another number of bytes. The process is then replaced at the next call.

    Notes
    -----
    Waits while `WORKERS` calls are running.
    """
    with _pool.borrowed() as worker:
        worker.decode(name, data, shape, out, seconds)


def _after_fork() -> None:
    global _pool
    inherited, _pool = _pool, _Pool()
    inherited.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _pool.close())
