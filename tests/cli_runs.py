"""The command line, as a person types it."""

import csv
import io
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from fastmm import cli


def typed(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, in a process of its own."""
    command = [sys.executable, "-m", "fastmm", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=300)


def fastmm(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which spares its imports (seconds each time)."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with (
        mock.patch.object(sys, "argv", ["fastmm", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),  # main shows them in its own way
    ):
        warnings.simplefilter("default")
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
    done = subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
    if check:
        assert code == 0, done.stderr
    return done


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))
