"""One decoding process, as its parent sees it: requests with a deadline, replies, its end."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from fastmm.read import limits
from fastmm.read.codecs.worker import DONE, FAILED, REPLY, REQUEST, TOO_LARGE

__all__ = ["BrokenProcessError", "DecoderError", "Process"]

#: Module with the table of decoders that the processes use.
TABLE = "fastmm.read.codecs.decoders"

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from fastmm.read.codecs.worker import serve; serve(int(sys.argv[1]), sys.argv[2])"
)
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux


class DecoderError(Exception):
    """Why a decoder failed, in words that quote nothing of the file."""


class BrokenProcessError(DecoderError):
    """The process cannot be used any more."""


class Process:
    """One decoding process."""

    def __init__(self) -> None:
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        command = [sys.executable, "-I", "-c", _START, str(limits.DECODER_MEMORY), TABLE]
        try:
            self.process = subprocess.Popen(
                [*command, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **threads},
            )
        except (OSError, ValueError, TypeError) as error:
            raise DecoderError(f"its process cannot start ({type(error).__name__})") from None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests: IO[bytes] = self.process.stdin
        self.replies: IO[bytes] = self.process.stdout
        self.loaded: set[str] = set()
        self._lock, self._call, self._expired = threading.Lock(), 0, False
        _widen(self.requests, self.replies)
        try:
            with self._deadline(limits.START_SECONDS):
                self._receive(memoryview(b""))
        except BaseException:  # an interrupt, too, must not leave the process behind
            self.end()
            raise

    def decode(self, name: str, data: bytes, shape: tuple[int, int, int], out: memoryview,
               seconds: float) -> None:  # fmt: skip
        """Decode into `out`, whose size must be that of the result."""
        if name not in self.loaded:
            self._request(name, b"", shape, memoryview(bytearray()), limits.START_SECONDS)
            self.loaded.add(name)
        self._request(name, data, shape, out, seconds)

    def end(self) -> None:
        """Kill the process and wait for it; it holds nothing that matters."""
        self.process.kill()
        for pipe in (self.requests, self.replies):
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.wait()

    def forget(self) -> None:
        """Let go of a process that belongs to the parent of this one."""
        for pipe in (self.requests, self.replies):
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.returncode = 0  # or it would be waited for, and warned of

    def _request(self, name: str, data: bytes, shape: tuple[int, int, int], out: memoryview,
                 seconds: float) -> None:  # fmt: skip
        head = REQUEST.pack(name.encode(), int(seconds) + 5, *shape, len(data))
        with self._deadline(seconds):
            for part in (memoryview(head), memoryview(data)):
                while part:
                    part = part[self.requests.write(part) :]
            self._receive(out)

    def _receive(self, out: memoryview) -> None:
        head = bytearray(REPLY.size)
        self._fill(memoryview(head))
        status, size = REPLY.unpack(head)
        if status == DONE and size == len(out):
            self._fill(out)
        elif status == DONE:
            # What it sends is not wanted, so the process cannot be used again.
            raise BrokenProcessError(f"it gave {size} bytes where {len(out)} were expected")
        elif status == TOO_LARGE:
            raise DecoderError(f"it needs more than {limits.DECODER_MEMORY} bytes")
        elif status == FAILED and size <= 64:
            kind = bytearray(size)
            self._fill(memoryview(kind))
            raise DecoderError(bytes(kind).decode("ascii", "replace"))
        else:
            raise BrokenProcessError("it answered nonsense")

    def _fill(self, view: memoryview) -> None:
        while view:
            count = self.replies.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise BrokenPipeError
            view = view[count:]

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        with self._lock:
            self._call += 1
            call = self._call
        timer = threading.Timer(seconds, self._expire, (call,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except OSError:
            code = self.process.wait()
            if self._expired:
                raise BrokenProcessError(f"it took longer than {seconds:.0f} s") from None
            raise BrokenProcessError(f"its process ended with code {code}") from None
        finally:
            with self._lock:
                self._call += 1
            timer.cancel()

    def _expire(self, call: int) -> None:
        with self._lock:
            if self._call == call:  # and not a later one, which has its own time
                self._expired = True
                self.process.kill()


def _widen(*pipes: IO[bytes]) -> None:
    """Enlarge pipes, for fewer turns of the two processes; it may be forbidden."""
    with contextlib.suppress(ImportError, OSError):
        fcntl = importlib.import_module("fcntl")
        for pipe in pipes:
            fcntl.fcntl(pipe, _SET_PIPE_SIZE, _PIPE_BYTES)
