"""Decoders that misbehave as native libraries do, for the processes of `decoding_pool`."""

from __future__ import annotations

import os
import signal
import time


class Panic(BaseException):
    """What a Rust library raises when it panics."""


def _hang(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    while True:
        time.sleep(1)


def _crash(*_):
    os.kill(os.getpid(), signal.SIGSEGV)


def _panic(*_):
    raise Panic("SECRET^NAME")


def _bomb(*_):
    return bytes(1 << 40)


def _chatter(data, *_):
    os.write(1, b"printed to the standard output")
    print("and from Python")
    return data


DECODERS = {
    "hang": lambda: _hang,
    "crash": lambda: _crash,
    "panic": lambda: _panic,
    "bomb": lambda: _bomb,
    "exit": lambda: lambda *_: os._exit(3),
    "longer": lambda: lambda data, *_: data + b"x",
    "missing": lambda: __import__("no_such_decoder"),
    "chatter": lambda: _chatter,
    "copy": lambda: lambda data, *_: data,
}
