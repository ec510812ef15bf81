"""`python -m serving.embedded FLAGS`, with tensorflow_model_server's flags.

Exit 2 for bad input, told in one sentence; 0 when told to stop.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Sequence

from serving.embedded import flags as command_line
from signatures.errors import UsageError

log = logging.getLogger("serving.embedded")


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT."""
    if "--help" in arguments or "-h" in arguments:
        print(command_line.usage())
        return 0
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters comes as an exception
    try:
        flags, notices = command_line.parse(arguments)
        if flags.version:
            return _print_version()
        return _serve(flags, notices)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _serve(flags: command_line.Flags, notices: Sequence[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("serving").setLevel(logging.INFO)
    log.info("this is the embedded server, for development and tests; production is TensorFlow Serving")
    for notice in notices:
        log.warning(notice)
    stop = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    # Imported here: TensorFlow takes seconds, and a mistake in the flags should be told at once.
    from serving.embedded.server import Server

    try:
        server = Server(flags)
        log.info("ready")
        stop.wait()
        log.info("stopping")
        server.close()
    finally:
        for number, handler in zip(numbers, previous):
            signal.signal(number, handler)
    return 0


def _print_version() -> int:
    import tensorflow as tf

    print(f"Signet embedded server, TensorFlow Library: {tf.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
