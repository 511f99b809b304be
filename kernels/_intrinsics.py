"""Helpers made of LLVM's own instructions, for what loops in Numba do not become.

Each function here returns a helper for kernels to call; kernel files get them from `_jit`.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from ._overloading import runs_as

__all__ = ["columns", "copier", "prefetched", "stretches", "summer", "turner"]


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

    return runs_as(plain, "prefetch", lambda flat, i: prefetch(flat, i))


def stretches() -> Any:
    """Return a helper: elements of a flat array, as a view that counts no references.

    A view costs two counts, more than a short row, and waits for other threads that count.
    Of arguments, and of arrays that are named again after the view's last use: Numba frees an
    array of the function itself after the last use of its name, whoever looks at it.
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

    return runs_as(plain, "stretch", lambda flat, start, size: stretch(flat, start, size))


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

    name = f"columns_{step}_{first}_{lanes}"
    return runs_as(plain, name, lambda flat, left, right, i: take(flat, left, right, i))


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

    name = f"copy_{lanes}"
    return runs_as(plain, name, lambda src, start, out, begin: copy(src, start, out, begin))


def turner(lanes: int) -> Any:
    """Return a helper that turns a square of `lanes` rows over its diagonal.

    ``turn(src, start, stride, last, out, begin, step, end)`` copies element i of row k of
    `src`, which begins at start + k * stride, to element k of row i of `out`, which begins
    at begin + i * step. Rows after the `last` are taken for it, and go to row `end` of `out`
    where they would come after it, so that fewer rows need no other loop.
    """

    @intrinsic
    def move(
        _typing: Any, src: Any, start: Any, stride: Any, last: Any,
        out: Any, begin: Any, step: Any, end: Any,
    ) -> Any:  # fmt: skip
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            given, real = signature.args[0], signature.args[4]
            source = arrayobj.make_array(given)(context, builder, args[0]).data
            target = arrayobj.make_array(real)(context, builder, args[4]).data
            wide = ir.VectorType(target.type.pointee, lanes)

            def row(flat: Any, first: Any, apart: Any, most: Any, k: int) -> tuple[Any, int]:
                place = ir.Constant(most.type, k)
                place = builder.select(builder.icmp_signed("<", most, place), most, place)
                place = builder.gep(flat, [builder.add(first, builder.mul(place, apart))])
                vector = ir.VectorType(flat.type.pointee, lanes).as_pointer()
                return builder.bitcast(place, vector), context.get_abi_sizeof(flat.type.pointee)

            rows = []
            for k in range(lanes):
                place, size = row(source, *args[1:4], k)
                value = builder.load(place, align=size)
                if isinstance(given.dtype, numba.types.Integer):
                    cast = builder.sitofp if given.dtype.signed else builder.uitofp
                    value = cast(value, wide)
                elif given.dtype != real.dtype:
                    cast = builder.fpext if given.dtype < real.dtype else builder.fptrunc
                    value = cast(value, wide)
                rows.append(value)
            # Interleaving the first half of the rows with the second half moves the lowest bit
            # of an element's row to its column, and the highest of the column to the row.
            half = lanes // 2
            low = [k // 2 + k % 2 * lanes for k in range(lanes)]
            masks = [[k + part for k in low] for part in (0, half)]
            masks = [ir.Constant(ir.VectorType(ir.IntType(32), lanes), mask) for mask in masks]
            for _ in range(lanes.bit_length() - 1):
                pairs = zip(rows[:half], rows[half:], strict=True)
                rows = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in masks]
            for k, value in enumerate(rows):
                place, size = row(target, *args[5:8], k)
                builder.store(value, place, align=size)
            return context.get_dummy_value()

        intp = numba.types.intp
        return numba.types.void(src, intp, intp, intp, out, intp, intp, intp), emit

    def turn(
        src: Any, start: int, stride: int, last: int, out: Any, begin: int, step: int, end: int
    ) -> None:
        for i in range(lanes):
            for k in range(lanes):
                value = src[start + min(k, last) * stride + i]
                out[begin + min(i, end) * step + k] = value

    return runs_as(
        turn,
        f"turn_{lanes}",
        lambda src, start, stride, last, out, begin, step, end: move(
            src, start, stride, last, out, begin, step, end
        ),
    )


def summer(lanes: int) -> Any:
    """Return a helper that weighs vectors of `lanes` elements, which lie one after the other.

    ``weigh(src, spans, weights, first, size, out, begin)`` writes `size` vectors to `out` from
    `begin` on, by the rows of the tables from the `first` on: a + sum of w (x - a), over the
    span of vectors of the flat `src`, a the first of them.
    """

    @intrinsic
    def add(
        _typing: Any, src: Any, spans: Any, weights: Any, first: Any,
        size: Any, out: Any, begin: Any,
    ) -> Any:  # fmt: skip
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, places, table, target = (
                arrayobj.make_array(signature.args[k])(context, builder, args[k])
                for k in (0, 1, 2, 5)
            )
            intp, most = args[3].type, builder.extract_value(table.shape, 1)
            element, contract = source.data.type.pointee, ("contract",)
            vector, size = ir.VectorType(element, lanes), context.get_abi_sizeof(element)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

            def vector_at(flat: Any, start: Any, k: Any) -> Any:
                place = builder.add(start, builder.mul(k, intp(lanes)))
                return builder.bitcast(builder.gep(flat, [place]), vector.as_pointer())

            with cgutils.for_range_slice(builder, intp(0), args[4], intp(1)) as (i, _):
                row = builder.add(args[3], i)
                span = builder.gep(places.data, [builder.mul(row, intp(2))])
                start = builder.zext(builder.load(span), intp)
                count = builder.zext(builder.load(builder.gep(span, [intp(1)])), intp)
                a = builder.load(vector_at(source.data, intp(0), start), align=size)
                row = builder.gep(table.data, [builder.mul(row, most)])
                total = cgutils.alloca_once(builder, vector)
                builder.store(a, total)
                with cgutils.for_range_slice(builder, intp(1), count, intp(1)) as (t, _):
                    x = vector_at(source.data, intp(0), builder.add(start, t))
                    more = builder.fsub(builder.load(x, align=size), a)
                    w = builder.load(builder.gep(row, [t]))
                    w = builder.insert_element(ir.Constant(vector, ir.Undefined), w, intp(0))
                    more = builder.fmul(more, builder.shuffle_vector(w, w, zeros), flags=contract)
                    builder.store(builder.fadd(builder.load(total), more, flags=contract), total)
                builder.store(builder.load(total), vector_at(target.data, args[6], i), align=size)
            return context.get_dummy_value()

        intp = numba.types.intp
        return numba.types.void(src, spans, weights, intp, intp, out, intp), emit

    def weigh(
        src: Any, spans: Any, weights: Any, first: int, size: int, out: Any, begin: int
    ) -> None:
        for i in range(size):
            start, count = map(int, spans[first + i])
            x = src[start * lanes : (start + count) * lanes].reshape(count, lanes)
            total = x[0] + weights[first + i, :count] @ (x - x[0])
            out[begin + i * lanes : begin + (i + 1) * lanes] = total

    return runs_as(
        weigh,
        f"weigh_{lanes}",
        lambda src, spans, weights, first, size, out, begin: add(
            src, spans, weights, first, size, out, begin
        ),
    )
