"""What a rule looks at: the model, what was declared of it, and the traces of its signatures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Iterator, List, Optional, Sequence, Tuple

from signatures.dataflow import sources
from signatures.declaration import FEATURE_PREFIX, PREDICTION_PREFIX, TRAINING_PREFIXES, Declaration, Role
from signatures.entry import entry
from signatures.given import Given, given
from signatures.manifest import Manifest, Suppression
from signatures.manifest import Signature as Declared
from signatures.reach import Reach, reach
from signatures.saved_model import Place, SavedModel, Signature
from signatures.sources import Origin
from signatures.trace import Trace, Tracer

INIT = "__saved_model_init_op"
"""Stands for a signature in findings about what runs at load."""


@dataclass
class Export:
    """A model under the linter. Traces are made when first asked for, and kept."""

    model: SavedModel
    declaration: Declaration
    manifest: Optional[Manifest] = None
    suppressions: Tuple[Suppression, ...] = ()
    """Findings that it is allowed to have, by its manifest or by whoever asked."""
    _tracer: Optional[Tracer] = None
    _traces: Dict[str, Trace] = field(default_factory=dict)
    _given: Dict[str, Sequence[Given]] = field(default_factory=dict)
    _reaches: Dict[str, Reach] = field(default_factory=dict)

    def inference(self) -> Iterator[Signature]:
        """The signatures that answer clients."""
        return (each for each in self.model.signatures.values() if not self._trains(each))

    def row_wise(self) -> Iterator[Signature]:
        """Those of them that a server may batch: all that the manifest does not declare otherwise."""
        for signature in self.inference():
            declared = self.declared(signature.name)
            if declared is None or declared.batchable:
                yield signature

    def training(self) -> Iterator[Signature]:
        """The signatures of an exported training graph."""
        return (each for each in self.model.signatures.values() if self._trains(each))

    def trace(self, signature: str) -> Trace:
        """What the signature's outputs come from and what it runs; INIT for what runs at load."""
        if signature not in self._traces:
            tracer = self.tracer()
            found = tracer.init() if signature == INIT else tracer.signature(self.model.signatures[signature])
            self._traces[signature] = found
        return self._traces[signature]

    def reach(self, signature: str) -> Reach:
        """Which tensors inside its functions a request to the signature can change."""
        if signature not in self._reaches:
            self._reaches[signature] = reach(self.tracer().library, self.model, self.trace(signature))
        return self._reaches[signature]

    def written(self, signature: str) -> FrozenSet[Origin]:
        """The variables and tables that a request to the signature, or INIT, writes."""
        writes, origins = self.trace(signature).solution.writes, self.tracer().library.origins
        return frozenset(origin for origin, bit in origins.items() if bit in writes)

    def traces(self) -> Iterator[tuple[str, Trace]]:
        """Every inference signature's name and trace, then the init op's."""
        for signature in self.inference():
            yield signature.name, self.trace(signature.name)
        yield INIT, self.trace(INIT)

    def role(self, signature: Signature, name: str) -> Role:
        """The role of one of its inputs, or of a key of the tf.Examples that it parses."""
        return self.declaration.role(name, signature)

    def given(self, signature: Signature) -> Sequence[Given]:
        """What its clients give: the inputs; in place of one of serialized tf.Examples, the keys parsed out of it."""
        if signature.name not in self._given:
            self._given[signature.name] = given(self.model, signature, self.trace(signature.name))
        return self._given[signature.name]

    def reached(self, signature: Signature, origin: Origin) -> List[str]:
        """The outputs that something can change."""
        influences = self.trace(signature.name).influences
        return [output for output in signature.outputs if origin in influences[output]]

    def declared(self, signature: str) -> Optional[Declared]:
        """What the manifest says of a signature."""
        return self.manifest.signatures.get(signature) if self.manifest else None

    def where(self, signature: Signature, output: str, name: str) -> str:
        """How an input that changes an output gets there, as the end of a clause: " at Mul 'product' of …"."""
        if not self._flows(signature, output, name):
            return " through a variable that the same request writes"
        place = self.place(signature, output, name)
        return f" at {place}" if place else ""

    def place(self, signature: Signature, output: str, name: str) -> Optional[Place]:
        """Where an input that changes an output meets its computation; None: it comes unchanged, or by a variable."""
        trace, tracer, graph = self.trace(signature.name), self.tracer(), self.model.graph
        bit = tracer.library.bit(self._origin(signature, name))
        tensor = self._flows(signature, output, name)
        return entry(tracer.library, graph, trace.solution, trace.fed, tensor, bit) if tensor else None

    def _flows(self, signature: Signature, output: str, name: str) -> str:
        """The tensor of an output that an input changes without going through a variable; empty when there is none."""
        trace, tracer = self.trace(signature.name), self.tracer()
        bit = tracer.library.bit(self._origin(signature, name))
        tensors = signature.outputs[output].tensors
        reached = (t for t in tensors if sources(trace.solution, self.model.graph, trace.fed, t) >> bit & 1)
        return next(reached, "")

    def _origin(self, signature: Signature, name: str) -> Origin:
        return next((each.origin for each in self.given(signature) if each.name == name), Origin("input", name))

    def tracer(self) -> Tracer:
        """The tracer of this model."""
        if self._tracer is None:
            self._tracer = Tracer(self.model)
        return self._tracer

    def _trains(self, signature: Signature) -> bool:
        """True for a training graph: every input says its role, and there is a loss. What is served is none.

        Where the outputs are a training graph's and nothing else, an input without a role does not hide what it is.
        """
        if self.declared(signature.name) is not None or "loss" not in signature.outputs:
            return False
        roles = (FEATURE_PREFIX, *TRAINING_PREFIXES)
        told = [name.startswith(roles) for name in signature.inputs]
        trains = len(signature.outputs) > 1 and all(
            name == "loss" or name.startswith(PREDICTION_PREFIX) for name in signature.outputs
        )
        return any(told) if trains else bool(told) and all(told)
