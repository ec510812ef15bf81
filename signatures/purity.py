"""The proof on a training graph: no prediction depends on a label, mask or weight; the loss depends on each of them.

The training graph is exported as a SavedModel of its own. Its signature's inputs are named `features/NAME`,
`labels/NAME`, `masks/NAME`, `sample_weights/NAME`, its outputs `loss` and `predictions/TASK`.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Union

from signatures.errors import UsageError
from signatures.findings import Finding, in_order
from signatures.lint import open_export
from signatures.rules import sig401_impure_prediction, sig402_inert_training_input, sig403_unassigned_training_input

RULES = (sig401_impure_prediction, sig402_inert_training_input, sig403_unassigned_training_input)


def prove(path: Union[str, Path]) -> List[Finding]:
    """What contradicts purity in the training graph at this path; an empty list is the proof.

    Raises UsageError when it is no training graph, or one without a prediction, about which nothing can be proven.
    """
    export = open_export(path)
    signatures = list(export.training())
    if not any(output.startswith("predictions/") for signature in signatures for output in signature.outputs):
        raise UsageError(
            f"{export.model.path} is no training graph: no signature has inputs features/… labels/… and outputs "
            "loss, predictions/…; give the folder of an exported training graph"
        )
    return in_order(finding for rule in RULES for finding in rule.check(export))
