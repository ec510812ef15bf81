"""The `signet` command. `lint` and `diff` load neither the other verbs nor what these need: they start at once."""

from __future__ import annotations

import os
import sys
from typing import Any

from signatures.errors import UsageError

LIGHT = ("lint", "diff")


def main() -> None:
    """Runs the verb: bad input becomes one sentence and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters comes as an exception
    try:
        _app()(prog_name="signet")
    except UsageError as error:
        print(f"signet: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("signet: interrupted", file=sys.stderr)
        sys.exit(130)


def _app() -> Any:
    if sys.argv[1:2] and sys.argv[1] in LIGHT:
        from signatures.__main__ import app

        return app
    from pipeline import console

    return console.app


if __name__ == "__main__":
    main()
