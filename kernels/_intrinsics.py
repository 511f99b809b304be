"""Helpers made of LLVM's own instructions, for what loops in Numba do not become.

Each function here returns a helper for kernels to call; kernel files get them from `_jit`.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np import arrayobj

__all__ = ["columns", "copier", "prefetched", "stretches"]


def prefetched() -> Any:
    """Return a helper that asks for the cache line of an element, and waits for nothing."""

    @intrinsic
    def prefetch(_typing: Any, flat: Any, i: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source = arrayobj.make_array(signature.args[0])(context, builder, args[0])
            pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
            call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            place = builder.bitcast(builder.gep(source.data, [args[1]]), pointer)
            # To read, into the nearest cache, data.
            builder.call(call, [place, number(0), number(3), number(1)])
            return context.get_dummy_value()

        return numba.types.void(flat, numba.types.intp), emit

    def plain(flat: Any, i: int) -> None:
        return None

    overload(plain)(lambda flat, i: lambda flat, i: prefetch(flat, i))
    return plain


def stretches() -> Any:
    """Return a helper: elements of a flat array, as a view that counts no references.

    A view costs two counts, more than a short row, and waits for other threads that count.
    """

    @intrinsic
    def stretch(_typing: Any, flat: Any, start: Any, size: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source = arrayobj.make_array(signature.args[0])(context, builder, args[0])
            view = arrayobj.make_array(signature.return_type)(context, builder)
            arrayobj.populate_array(
                view,
                data=builder.gep(source.data, [args[1]]),
                shape=[args[2]],
                strides=[source.itemsize],
                itemsize=source.itemsize,
                meminfo=None,
            )
            return view._getvalue()

        intp = numba.types.intp
        return flat.copy(ndim=1, layout="C")(flat, intp, intp), emit

    def plain(flat: Any, start: int, size: int) -> Any:
        return flat[start : start + size]

    overload(plain)(lambda flat, start, size: lambda flat, start, size: stretch(flat, start, size))
    return plain


def columns(step: int, first: int, lanes: int) -> Any:
    """Return a helper that takes two columns apart, for which LLVM would gather.

    ``take(flat, left, right, i)`` copies element step * (i + j) + first of `flat` to element
    i + j of `left`, and the next one to that of `right`, for j below `lanes`.
    """

    @intrinsic
    def take(_typing: Any, flat: Any, left: Any, right: Any, i: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, *targets = [
                arrayobj.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], args, strict=False)
            ]
            element, number = source.data.type.pointee, ir.IntType(32)
            size = context.get_abi_sizeof(element)
            block = ir.VectorType(element, lanes * step).as_pointer()
            begin = builder.mul(args[3], args[3].type(step))
            place = builder.bitcast(builder.gep(source.data, [begin]), block)
            loaded = builder.load(place, align=size)
            for column, target in enumerate(targets, start=first):
                mask = [step * j + column for j in range(lanes)]
                mask = ir.Constant(ir.VectorType(number, lanes), mask)
                values = builder.shuffle_vector(loaded, loaded, mask)
                row = builder.gep(target.data, [args[3]])
                row = builder.bitcast(row, values.type.as_pointer())
                builder.store(values, row, align=size)
            return context.get_dummy_value()

        return numba.types.void(flat, left, right, numba.types.intp), emit

    def plain(flat: Any, left: Any, right: Any, i: int) -> None:
        block = flat[step * i : step * (i + lanes)].reshape(lanes, step)
        left[i : i + lanes], right[i : i + lanes] = block[:, first : first + 2].T

    overload(plain)(
        lambda flat, left, right, i: lambda flat, left, right, i: take(flat, left, right, i)
    )
    return plain


def copier(lanes: int) -> Any:
    """Return a helper, ``copy(src, start, out, begin)``, that copies `lanes` elements at once."""

    @intrinsic
    def copy(_typing: Any, src: Any, start: Any, out: Any, begin: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            places = []
            for kind, array, at in zip(signature.args[::2], args[::2], args[1::2], strict=True):
                flat = arrayobj.make_array(kind)(context, builder, array)
                vector = ir.VectorType(flat.data.type.pointee, lanes).as_pointer()
                places.append(builder.bitcast(builder.gep(flat.data, [at]), vector))
            size = context.get_abi_sizeof(flat.data.type.pointee)
            builder.store(builder.load(places[0], align=size), places[1], align=size)
            return context.get_dummy_value()

        intp = numba.types.intp
        return numba.types.void(src, intp, out, intp), emit

    def plain(src: Any, start: int, out: Any, begin: int) -> None:
        out[begin : begin + lanes] = src[start : start + lanes]

    overload(plain)(
        lambda src, start, out, begin: lambda src, start, out, begin: copy(src, start, out, begin)
    )
    return plain
