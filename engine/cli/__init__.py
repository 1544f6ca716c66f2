"""The command line: thin verbs over the engine.

Exit codes: 0 good, 2 usage, 3 complete with inputs set aside, 4 complete on a degraded device,
70 internal error, 75 stopped and resumable. Heavy imports stay inside the commands, so that
`medkern --help` answers at once.
"""

import errno
import sys
import traceback
from typing import Annotated

import typer

from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .explain import explain
from .export import export
from .features import features
from .kernels import kernels
from .screen import screen
from .sign import sign
from .train import train

GOOD, USAGE, SET_ASIDE, DEGRADED, INTERNAL, STOPPED = 0, 2, 3, 4, 70, 75

app = typer.Typer(
    name="medkern",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, evaluate, explain, screen, features, kernels, export, sign, doctor, demo):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"medkern {version('medkern')}")
        raise typer.Exit


@app.callback()
def _medkern(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make medical images clearer and read them, whole batches at a time.

    Research use only: not a medical device.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run a command; every error the user can mend is one line, and the exit code says its kind."""
    try:
        app(arguments)
    except Exception as error:
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    from medkern.engine.errors import Stopped, UserError

    message = " ".join(str(error).split())
    if isinstance(error, Stopped):
        print(f"medkern: stopped: {message}", file=sys.stderr)
        return STOPPED
    if isinstance(error, UserError):
        print(f"medkern: {message}", file=sys.stderr)
        return USAGE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        print(f"medkern: no space left on the disk{where}; make room, run again", file=sys.stderr)
        return STOPPED
    if isinstance(error, OSError) and error.filename is not None:
        print(f"medkern: {error.filename}: {error.strerror}", file=sys.stderr)
        return USAGE
    traceback.print_exception(error)
    print("medkern: internal error, please report the lines above", file=sys.stderr)
    return INTERNAL
