"""Work as counted: flops, bytes and steps, from which a machine's rates make seconds."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from fastmm.planning.machines import Machine

__all__ = ["Work"]


@dataclass(frozen=True)
class Work:
    """Amounts that add up.

    Attributes
    ----------
    flops : float
        Of float64 matrix products, on all cores; `narrow_flops` those of float32.
    lone_flops : float
        Of float64 matrix products that run on one core.
    moved : float
        Bytes read and written by all cores; `lone_moved` by one.
    stored : float
        Bytes that come from storage.
    uploaded : float
        Bytes that go to a GPU.
    steps : float
        Seconds of compiled code or Python that a core of the reference machine takes for it,
        spread over all cores; `lone_steps` on one.

    Examples
    --------
    >>> from fastmm.planning.machines import Machine
    >>> slow = Machine("one core", 1, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9)
    >>> (Work(flops=2e9) + 3 * Work(lone_steps=1.0)).seconds(slow)
    5.0
    """

    flops: float = 0.0
    narrow_flops: float = 0.0
    lone_flops: float = 0.0
    moved: float = 0.0
    lone_moved: float = 0.0
    stored: float = 0.0
    uploaded: float = 0.0
    steps: float = 0.0
    lone_steps: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: float) -> Work:
        return Work(*(getattr(self, f.name) * times for f in fields(self)))

    __rmul__ = __mul__

    def on_one_core(self) -> Work:
        """Return the same work where only one thread is let at it."""
        return replace(
            self,
            flops=0.0,
            moved=0.0,
            steps=0.0,
            lone_flops=self.lone_flops + self.flops,
            lone_moved=self.lone_moved + self.moved,
            lone_steps=self.lone_steps + self.steps,
        )

    def seconds(self, machine: Machine) -> float:
        """Return the time on a machine: one kind after the other, but storage beside steps."""
        computed = self.steps / machine.cores + self.moved / machine.copy
        waited = self.stored / machine.storage if self.stored else 0.0
        return (
            max(computed, waited)  # files are read ahead while others are worked on
            + self.flops / machine.float64
            + self.narrow_flops / machine.float32
            + self.lone_flops / machine.core_float64
            + self.lone_moved / machine.core_copy
            + self.lone_steps
            + (self.uploaded / machine.upload if machine.upload else 0.0)
        )

    @property
    def all_flops(self) -> float:
        """Floating-point operations of matrix products."""
        return self.flops + self.narrow_flops + self.lone_flops
