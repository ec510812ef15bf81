"""`python -m signatures lint PATH` and `python -m signatures diff OLD NEW`; see signatures.commands."""

from __future__ import annotations

import sys

import typer

from signatures import commands
from signatures.errors import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
app.command("lint")(commands.lint)
app.command("diff")(commands.diff)


@app.callback()
def _signatures() -> None:
    """Lints exported models and compares their versions, without TensorFlow."""


def main() -> int:
    """Runs a command; a UsageError becomes one line on stderr and exit code 2."""
    try:
        app(prog_name="python -m signatures")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
