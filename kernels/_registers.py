"""Inner products of a few rows with many atoms, thresholded and summed, all in registers.

LLVM keeps no local array of Numba in registers, so the innermost loop is written in its
own language: GROUP rows times `vectors` vectors of atoms are as many sums, each of which
takes one fused multiply-add a step, and none of them goes to memory before the threshold.
"""

from typing import Any

import numba
from llvmlite import binding, ir
from numba.extending import intrinsic
from numba.np import arrayobj

from ._overloading import runs_as

__all__ = ["ATOMS", "GROUP", "responder"]

GROUP = 6  # rows at a time; with 2 vectors they fill 16 registers, with 4 vectors 32
ATOMS = 64  # atoms of a block, of which the values at one place lie side by side


def _lanes() -> tuple[int, int]:
    """Return how many floats a register holds, and how many vectors go with GROUP rows."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f", False):
        return 16, 4
    if features.get("avx", False):
        return 8, 2
    return 4, 4 if features.get("neon", False) else 2


def responder() -> Any:
    """Return a helper that adds the thresholded responses of GROUP rows to those before.

    ``respond(rows, row, size, atoms, atom, out, plus, minus, threshold)``: rows of `size`
    values begin at `row`, a block of atoms at `atom`; what exceeds the threshold is added
    to ATOMS sums at `plus`, what falls below its negative to those at `minus`.
    """
    lanes, vectors = _lanes()
    vector, number = ir.VectorType(ir.FloatType(), lanes), ir.IntType(32)
    fused = ("contract",)

    def splat(builder: Any, value: Any) -> Any:
        single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, number(0))
        mask = ir.Constant(ir.VectorType(number, lanes), [0] * lanes)
        return builder.shuffle_vector(single, single, mask)

    def block(builder: Any, place: Any, index: Any) -> Any:
        return builder.bitcast(builder.gep(place, [index]), vector.as_pointer())

    def positive(builder: Any, value: Any, zero: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", value, zero), value, zero)

    def emit_sums(builder: Any, rows: Any, atoms: Any, size: Any, start: Any) -> list[Any]:
        intp = size.type
        before, loop, after = builder.block, *(builder.append_basic_block(n) for n in "la")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(intp)
        k.add_incoming(intp(0), before)
        sums = [builder.phi(vector) for _ in range(GROUP * vectors)]
        place = builder.mul(k, intp(ATOMS))
        weights = [
            builder.load(block(builder, atoms, builder.add(place, intp(v * lanes))), align=4)
            for v in range(vectors)
        ]
        new = []
        for p in range(GROUP):
            pixel = builder.add(k, builder.mul(size, intp(p)))
            value = splat(builder, builder.load(builder.gep(rows, [pixel])))
            for v in range(vectors):
                product = builder.fmul(value, weights[v], flags=fused)
                new.append(builder.fadd(sums[p * vectors + v], product, flags=fused))
        following = builder.add(k, intp(1))
        k.add_incoming(following, loop)
        for phi, value in zip(sums, new, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, size), loop, after)
        builder.position_at_end(after)
        return new

    @intrinsic
    def respond(
        _typing: Any, rows: Any, row: Any, size: Any, atoms: Any, atom: Any,
        out: Any, plus: Any, minus: Any, threshold: Any,
    ) -> Any:  # fmt: skip
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            flat, block_of, target = (
                arrayobj.make_array(signature.args[i])(context, builder, args[i]).data
                for i in (0, 3, 5)
            )
            size, zero = args[2], ir.Constant(vector, [0.0] * lanes)
            limit = splat(builder, args[8])
            # Sums begin below 0 by the threshold, which spares its subtraction from each.
            start = builder.fsub(zero, limit)
            twice = builder.fsub(start, limit)
            rows_at = builder.gep(flat, [args[1]])
            for first in range(0, ATOMS, lanes * vectors):
                atoms_at = builder.gep(block_of, [builder.add(args[4], args[4].type(first))])
                sums = emit_sums(builder, rows_at, atoms_at, size, start)
                for v in range(vectors):
                    over, under = zero, zero
                    for value in sums[v::vectors]:
                        over = builder.fadd(over, positive(builder, value, zero))
                        other = builder.fsub(twice, value)
                        under = builder.fadd(under, positive(builder, other, zero))
                    for at, total in ((args[6], over), (args[7], under)):
                        index = builder.add(at, at.type(first + v * lanes))
                        pointer = block(builder, target, index)
                        old = builder.load(pointer, align=4)
                        builder.store(builder.fadd(old, total), pointer, align=4)
            return context.get_dummy_value()

        intp = numba.types.intp
        kinds = (rows, intp, intp, atoms, intp, out, intp, intp, numba.types.float32)
        return numba.types.void(*kinds), emit

    def plain(
        rows: Any, row: int, size: int, atoms: Any, atom: int, out: Any, plus: int, minus: int,
        threshold: Any,
    ) -> None:  # fmt: skip
        left = rows[row : row + GROUP * size].reshape(GROUP, size)
        found = left @ atoms[atom : atom + size * ATOMS].reshape(size, ATOMS)
        out[plus : plus + ATOMS] += (found - threshold).clip(0).sum(0)
        out[minus : minus + ATOMS] += (-found - threshold).clip(0).sum(0)

    return runs_as(
        plain,
        f"respond_{lanes}_{vectors}",
        lambda rows, row, size, atoms, atom, out, plus, minus, threshold: respond(
            rows, row, size, atoms, atom, out, plus, minus, threshold
        ),
    )
