"""How Numba keeps compiled CPU kernels on disk, in the folder that `_cache` names."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from types import FunctionType, SimpleNamespace
from typing import Any

import numba
from numba.core import caching

from ._cache import cache_folder, source_hash

__all__ = ["cached"]

_LOG = logging.getLogger("fastmm")


class _Locator(caching._CacheLocator):
    """Keeps compiled kernels in the folder of their common source hash."""

    def __init__(self, folder: str, key: str) -> None:
        self._folder, self._key = folder, key

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return source_hash()

    def get_disambiguator(self) -> str:
        return self._key


class _Files(caching.IndexDataCacheFile):
    """Gives every build a file name of its own.

    Numba numbers them, so two processes that save different builds at once may take the
    same number, and the next one to load runs the code of the other build.
    """

    def _data_name(self, number: int) -> str:
        return self._data_name_pattern.format(number=uuid.uuid4().int)  # type: ignore[no-any-return]


class _Cache(caching.FunctionCache):
    """Takes a damaged file and a full disk for what they are: no reason to fail."""

    def __init__(self, function: FunctionType) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, source_hash())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling what is damaged may raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            _say_uncached_once()


def cached(dispatcher: Any, build: str, name: str) -> Any:
    """Let a dispatcher load its builds from disk, and save those it compiles."""
    if numba.config.DISABLE_JIT:  # plain Python, for coverage and debuggers
        return dispatcher
    folder = cache_folder()
    if folder is None:
        _say_uncached_once()
        return dispatcher
    # Kernels may share a loop and differ in their helpers, of which Numba's key knows nothing.
    key = f"{name}-{dispatcher.py_func.__code__.co_firstlineno}"
    locator = _Locator(str(folder / build), key)

    class Impl(caching.CompileResultCacheImpl):
        _locator_classes = [SimpleNamespace(from_function=lambda *_: locator)]  # noqa: RUF012

    class Cache(_Cache):
        _impl_class = Impl

    dispatcher._cache = Cache(dispatcher.py_func)
    return dispatcher


def _say_uncached_once() -> None:
    if not _SAID:
        _SAID.append(True)
        _LOG.warning(
            "Compiled kernels cannot be written to disk, so each process compiles its own; "
            "set NUMBA_CACHE_DIR to a folder with room to keep them."
        )


_SAID: list[bool] = []
