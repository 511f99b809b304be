"""``python -m fastmm`` is the command ``fastmm``."""

from fastmm.cli import main

main()
