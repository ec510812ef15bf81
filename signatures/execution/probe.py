"""What a check is given: a signature that can be asked, and a request that it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, FrozenSet, Mapping, Optional

import numpy as np

from signatures.declaration import Role
from signatures.execution import comparison
from signatures.execution.golden import Golden
from signatures.execution.recipe import Input, Recipe, Request
from signatures.manifest import Signature as Declared
from signatures.saved_model import Signature

Answers = Dict[str, np.ndarray]
"""By output."""


class Refused(Exception):
    """The model did not answer. `code` is TensorFlow's name of the error, such as INVALID_ARGUMENT."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = " ".join(message.split())[:300]

    @property
    def deliberate(self) -> bool:
        """True where the model itself validates what it is asked."""
        return "assertion failed" in self.message


@dataclass
class Probe:
    """A signature under test. `base` is a request that it answers; where it answers none, `failure` says why."""

    signature: Signature
    inputs: Mapping[str, Input]
    call: Callable[[Request], Answers]
    """Asks the model; raises Refused."""
    base: Optional[Request] = None
    failure: Optional[Refused] = None
    declared: Optional[Declared] = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    reaching: FrozenSet[str] = frozenset()
    """Inputs whose value can change an output, as far as the graph tells."""
    golden: Optional[Golden] = None
    recipe: Recipe = Recipe()
    """How other requests that it may answer are made; `texts` are those that it may know."""
    _steady: Optional[FrozenSet[str]] = None

    @property
    def request(self) -> Request:
        """A request that the model answers."""
        if self.base is None:
            raise ValueError(f"signature {self.signature.name!r} answers no request")
        return dict(self.base)

    @property
    def rows(self) -> int:
        """Rows of the request; 0 for a signature without a batch."""
        found = [len(cells) for name, cells in self.request.items() if self.inputs[name].batched]
        return found[0] if found else 0

    def take(self, index: Any, request: Optional[Request] = None) -> Request:
        """These rows of the request. Inputs without a batch axis stay."""
        whole = self.request if request is None else request
        return {name: cells[index] if self.inputs[name].batched else cells for name, cells in whole.items()}

    def answered(self, request: Request) -> Optional[Answers]:
        """The answer, or None where the model refuses."""
        try:
            return self.call(request)
        except Refused:
            return None

    def steady(self, answers: Answers) -> Answers:
        """The answers that do not change from call to call: nothing else can be compared."""
        if self._steady is None:
            first, *others = [self.call(self.request) for _ in range(3)]
            self._steady = frozenset(
                name for name in first if all(comparison.identical(first[name], each[name]) for each in others)
            )
        return {name: cells for name, cells in answers.items() if name in self._steady}
