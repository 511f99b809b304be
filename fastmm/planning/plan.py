"""What a plan tells: sizes, and the outlook on each device."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fastmm.planning.outlook import Outlook
from fastmm.planning.sizes import StudySize

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """What a study takes.

    Attributes
    ----------
    size : StudySize
        What was counted.
    model, fusion : str
        What is fitted.
    solver : str
        How the final model is solved, in words.
    memory_limit : int or None
        Bytes that arrays may take, as asked for.
    threads : int or None
        Threads of a cluster that reads images and computes their features.
    outlooks : tuple of Outlook
        One for each device: the one to expect first.
    """

    size: StudySize
    model: str
    fusion: str
    solver: str
    memory_limit: int | None
    threads: int | None
    outlooks: tuple[Outlook, ...]

    @property
    def seconds(self) -> float:
        """Expected seconds on the first device."""
        return self.outlooks[0].seconds

    @property
    def peak_bytes(self) -> float:
        """Memory at most, beyond the start of Python and with imports counted in."""
        return self.outlooks[0].needs.peak

    @property
    def read_bytes(self) -> int:
        """Bytes of image files."""
        return sum(image.file_bytes for image in self.size.images)

    @property
    def fits(self) -> bool:
        """Whether it fits on the first device."""
        return self.outlooks[0].fits

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, for JSON."""
        return {
            "size": asdict(self.size),
            "model": self.model,
            "fusion": self.fusion,
            "solver": self.solver,
            "memory_limit": self.memory_limit,
            "threads": self.threads,
            "read_bytes": self.read_bytes,
            "outlooks": [
                {
                    "device": each.device,
                    "measured": each.measured,
                    "seconds": each.seconds,
                    "flops": each.flops,
                    "peak_bytes": each.needs.peak,
                    "fits": each.fits,
                    "limit": each.limit,
                    **asdict(each),
                }
                for each in self.outlooks
            ],
        }
