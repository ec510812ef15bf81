"""What a rule looks at: the model, what was declared of it, and the traces of its signatures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Iterator, Optional

from signatures.dataflow import sources
from signatures.declaration import FEATURE_PREFIX, TRAINING_PREFIXES, Declaration, Role
from signatures.entry import entry
from signatures.manifest import Manifest
from signatures.manifest import Signature as Declared
from signatures.saved_model import SavedModel, Signature
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
    _tracer: Optional[Tracer] = None
    _traces: Dict[str, Trace] = field(default_factory=dict)

    def inference(self) -> Iterator[Signature]:
        """The signatures that answer clients."""
        return (each for each in self.model.signatures.values() if not self._trains(each))

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

    def traces(self) -> Iterator[tuple[str, Trace]]:
        """Every inference signature's name and trace, then the init op's."""
        for signature in self.inference():
            yield signature.name, self.trace(signature.name)
        yield INIT, self.trace(INIT)

    def role(self, signature: Signature, name: str) -> Role:
        """The role of one of its inputs."""
        return self.declaration.role(name, signature)

    def declared(self, signature: str) -> Optional[Declared]:
        """What the manifest says of a signature."""
        return self.manifest.signatures.get(signature) if self.manifest else None

    def where(self, signature: Signature, output: str, name: str) -> str:
        """How an input that changes an output gets there, as the end of a clause: " at Mul 'product' of …"."""
        trace, tracer, graph = self.trace(signature.name), self.tracer(), self.model.graph
        bit = tracer.library.bit(Origin("input", name))
        for tensor in signature.outputs[output].tensors:
            if sources(trace.solution, graph, trace.fed, tensor) >> bit & 1:
                place = entry(tracer.library, graph, trace.solution, trace.fed, tensor, bit)
                return f" at {place}" if place else ""
        return " through a variable that the same request writes"

    def tracer(self) -> Tracer:
        """The tracer of this model."""
        if self._tracer is None:
            self._tracer = Tracer(self.model)
        return self._tracer

    def _trains(self, signature: Signature) -> bool:
        """True for a training graph: every input says its role, and there is a loss. What is served is none."""
        if self.declared(signature.name) is not None or "loss" not in signature.outputs:
            return False
        roles = (FEATURE_PREFIX, *TRAINING_PREFIXES)
        return bool(signature.inputs) and all(name.startswith(roles) for name in signature.inputs)
