"""The process that runs a stranger's model; signatures.execution.run starts it.

It is told what to do as one line of JSON on its standard input, and tells what it does on its standard output: a line
of JSON for each step and each finding. If it dies, the last step says at what.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

TELL = Callable[[Dict[str, Any]], None]


def main() -> int:
    """Runs the checks that are asked for."""
    order = json.loads(sys.stdin.readline())
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what the model prints is not ours

    def tell(event: Dict[str, Any]) -> None:
        told.write(json.dumps(event) + "\n")
        told.flush()

    tell({"at": "TensorFlow was being imported"})
    from signatures.execution import session  # noqa: F401  (before the limits: Python writes bytecode)

    if not order["unsafe"]:
        _limit(order["seconds"])
    for finding in examine(order, tell):
        tell({"finding": finding.as_dict()})
    tell({"done": True})
    return 0


def examine(order: Dict[str, Any], tell: TELL) -> Iterator[Any]:
    """The findings about the model at `order["path"]`."""
    from signatures import manifest, reader
    from signatures.declaration import Declaration
    from signatures.errors import UsageError
    from signatures.execution import checks, danger, golden, probing, session, words
    from signatures.execution.checks import sig708_golden_difference, sig709_unusable_model, sig710_unsafe_to_load
    from signatures.execution.probe import Refused
    from signatures.export import Export

    tell({"at": "the model was being read"})
    model = reader.read(Path(order["path"]))
    features = order["features"]
    declaration = Declaration(None if features is None else frozenset(features), frozenset(order["training_only"]))
    export = Export(model, declaration, manifest.read(model.path))
    meta_graph = session.served(model.path, model.tags)
    restore = meta_graph.saver_def.restore_op_name
    reason = None if order["unsafe"] else danger.reason(export, restore)
    if reason is not None:
        yield sig710_unsafe_to_load.withheld(reason)
        return
    tell({"at": "the model was being loaded"})
    try:
        loaded = session.Session(model, meta_graph)
    except Refused as refused:
        yield sig709_unusable_model.unloadable(refused.message)
        return
    known = words.known(model, meta_graph)
    modules = [each for each in checks.load() if each.RULE.code in order["codes"]]
    for signature in export.inference():
        tell({"at": f"signature {signature.name!r} was being asked"})
        try:
            seed = golden.read(model.path, signature)
        except UsageError as error:
            yield sig708_golden_difference.unreadable(str(error), signature.name)
            seed = None
        probe = probing.probe(export, signature, loaded.call, seed, known)
        for module in modules if probe.base is not None else [sig709_unusable_model]:
            tell({"at": f"{module.RULE.code} {module.RULE.name} was being tested on signature {signature.name!r}"})
            yield from _checked(module, probe)


def _checked(module: Any, probe: Any) -> List[Any]:
    """What a check finds. A model that suddenly refuses what it has answered before is told as such."""
    from signatures.execution.checks import sig703_nondeterminism
    from signatures.execution.probe import Refused

    found: List[Any] = []
    try:
        found.extend(module.check(probe))
    except Refused as refused:
        found.append(sig703_nondeterminism.refuses(probe.signature.name, refused.message))
    return found


def _limit(seconds: float) -> None:
    """No file can be written, no core dumped, no more memory taken than the machine has, and an orphan ends too."""
    import resource
    import signal

    signal.alarm(int(seconds) + 10)

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for which, most in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, memory)):
        try:
            _, hard = resource.getrlimit(which)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (most, hard))
        except (ValueError, OSError):
            continue  # not on this system


if __name__ == "__main__":
    sys.exit(main())
