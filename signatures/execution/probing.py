"""Makes the probe of a signature: finds a request that it answers."""

from __future__ import annotations

from typing import Callable, Iterable, Optional

import numpy as np

from signatures.execution import requests
from signatures.execution.golden import Golden
from signatures.execution.inputs import describe
from signatures.execution.probe import Answers, Probe, Refused
from signatures.execution.recipe import Recipe, Request
from signatures.execution.words import Known
from signatures.export import Export
from signatures.saved_model import Signature

Call = Callable[[Signature, Request], Answers]


def probe(export: Export, signature: Signature, call: Call, golden: Optional[Golden], known: Known) -> Probe:
    """A probe of a loaded model's signature."""
    trace = export.trace(signature.name)
    made = Probe(
        signature,
        describe(signature, export.manifest),
        lambda request: call(signature, request),
        declared=export.declared(signature.name),
        roles={name: export.role(signature, name) for name in signature.inputs},
        reaching=frozenset(name for output in signature.outputs for name in trace.inputs(output)),
        golden=golden,
    )
    return with_base(made, known)


def with_base(probe: Probe, known: Known) -> Probe:
    """The probe with a request that it answers: the golden one if it has two rows, else one made up. Or a failure."""

    def ask(request: Request) -> bool:
        try:
            probe.call(request)
        except Refused as refused:
            probe.failure = probe.failure or refused
            return False
        return True

    given = probe.golden.inputs if probe.golden is not None else {}
    if set(given) == set(probe.inputs) and all(len(cells) > 1 for cells in given.values() if cells.ndim) and ask(given):
        probe.base, probe.recipe = given, _recipe(given.values(), known)
        return probe
    found = requests.answered(probe.inputs, requests.recipes(known), ask)
    if found is not None:
        probe.base, probe.recipe = found
    return probe


def _recipe(given: Iterable[np.ndarray], known: Known) -> Recipe:
    """How others like these are made."""
    texts = [cell for cells in given if cells.dtype == object for cell in cells.reshape(-1)]
    integers = [cell for cells in given if cells.dtype.kind in "iu" for cell in cells.reshape(-1).tolist()]
    return Recipe(
        texts=tuple(dict.fromkeys([*texts, *known.texts])), integers=tuple(dict.fromkeys([*integers, *known.integers]))
    )
