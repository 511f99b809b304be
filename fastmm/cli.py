"""The command ``fastmm``: demo, plan, train, predict, scan, bench and info."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, NoReturn

try:
    import typer
except ImportError:
    raise ImportError('The command needs typer: pip install "fastmm[app]".') from None

from fastmm import __version__
from fastmm.commands.bench import bench
from fastmm.commands.demo import demo
from fastmm.commands.info import info
from fastmm.commands.options import NOTICE
from fastmm.commands.plan import plan
from fastmm.commands.predict import predict
from fastmm.commands.scan import scan
from fastmm.commands.train import train

__all__ = ["main"]

_INTERRUPTED = 130  # what shells call 128 + SIGINT

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=f"Multimodal learning on medical images, on the GPU and on the CPU. {NOTICE}",
)
for command in (demo, plan, train, predict, scan, bench, info):
    app.command()(command)


def main() -> NoReturn:
    """Run the command; what is wrong with the input is one message and exit status 1."""
    warnings.showwarning = _show_warning
    try:
        app()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # typer turns Ctrl-C into this, without a word
            _tell_of_interrupt()
        raise
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        # FastmmError is a ValueError
        typer.secho(f"fastmm: {_told(error)}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        _tell_of_interrupt()
        sys.exit(_INTERRUPTED)
    sys.exit(0)


def _told(error: BaseException) -> str:
    """Word an error; those of the system without their number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}."
    return str(error)


def _tell_of_interrupt() -> None:
    typer.secho("fastmm: interrupted; nothing half-written is left.", fg="red", err=True)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Tell of a warning as of an error: where in the code it arose helps no user."""
    typer.secho(f"fastmm: warning: {message}", fg="yellow", err=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print it."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""
