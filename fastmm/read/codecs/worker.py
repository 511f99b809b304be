"""The process that native decoders run in: whatever they do, they do it to this process alone.

It reads requests from its standard input until that ends, which it does with the parent. It
is started by `decoding_process` and imports nothing of fastmm but the decoders.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

__all__ = ["DONE", "FAILED", "REPLY", "REQUEST", "TOO_LARGE", "serve"]

#: Decoder, seconds, rows, columns, samples, bytes of the codestream that follows. No bytes
#: ask for the decoder to be imported only.
REQUEST = struct.Struct("<16sIIIIQ")
#: Status, bytes of what follows: samples, or the name of the kind of failure.
REPLY = struct.Struct("<BQ")
DONE, FAILED, TOO_LARGE = 0, 1, 2


def serve(memory: int, table: str) -> None:
    """Serve requests until the input ends.

    Parameters
    ----------
    memory : int
        Most bytes of address space, where the system knows such a limit.
    table : str
        Name of the module with the table `DECODERS`.
    """
    requests, replies = _take_pipes()
    _contain(memory)
    decoders: dict[str, Callable[..., Any]] = {}
    _reply(replies, DONE, b"")
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        raw_name, seconds, rows, columns, samples, length = REQUEST.unpack(head)
        name = raw_name.rstrip(b"\0").decode("ascii")
        data = requests.read(length)
        if len(data) < length:
            return
        status, content = DONE, b""
        # Should the parent be gone, nobody else would end a decoder that hangs.
        _alarm(seconds)
        try:
            if name not in decoders:
                decoders[name] = importlib.import_module(table).DECODERS[name]()
            if length:
                content = _bytes_of(decoders[name](data, rows, columns, samples))
        except MemoryError:
            status, content = TOO_LARGE, b""
        except BaseException as fault:  # a panic of a library is no Exception
            # The text of a fault may quote the file, so only its kind is told.
            status, content = FAILED, type(fault).__name__.encode("ascii", "replace")[:64]
        finally:
            _alarm(0)
        _reply(replies, status, content)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to ourselves: libraries print to the standard output."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb", buffering=0)


def _contain(memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold pixels
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _bytes_of(samples: Any) -> Any:
    if isinstance(samples, (bytes, bytearray)):
        return samples
    import numpy as np

    return np.ascontiguousarray(samples).reshape(-1).view(np.uint8).data


def _reply(replies: BinaryIO, status: int, content: Any) -> None:
    rest = memoryview(REPLY.pack(status, len(content)))
    for part in (rest, memoryview(content)):
        while part:
            part = part[replies.write(part) :]
