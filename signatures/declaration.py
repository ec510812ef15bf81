"""Which inputs of a signature are features and which belong to training: told, or guessed from names.

`score * w` with a mask and `score * boost` with a feature are the same graph, so only a declaration decides. It comes
from the export's manifest and from the command line. A list of features is the stronger form, for it catches a mask
under any name; without one, a name is a hint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import FrozenSet, Iterable, List, Literal, Optional, Tuple

from signatures.manifest import Manifest
from signatures.saved_model import Signature, node_name

Role = Literal["feature", "training_only", "undeclared", "named_for_training", "perhaps_for_training", "unknown"]
NOT_FOR_SERVING: FrozenSet[Role] = frozenset({"training_only", "undeclared", "named_for_training"})

TRAINING_PREFIXES = ("labels/", "masks/", "sample_weights/")
"""How an exported training graph names what belongs to training."""
FEATURE_PREFIX = "features/"
PREDICTION_PREFIX = "predictions/"
"""How its outputs but the loss are named."""

# A whole name, in words. `face_mask_type` and `label_count` contain such a word and are features.
_TRAINING_NAMES = {
    "mask",
    "masks",
    "label",
    "labels",
    "loss mask",
    "label mask",
    "train mask",
    "training mask",
    "sample mask",
    "y true",
    "sample weight",
    "sample weights",
    "example weight",
    "example weights",
    "loss weight",
    "loss weights",
    "label weight",
    "label weights",
    "is training",
    "training",
    "learning phase",
    "keras learning phase",
    "keep prob",
    "dropout rate",
}
# `click_mask`, `like_label`, `click_sample_weight`: a hint, unless it is a mask that models of text or lists are fed.
_TRAINING_ENDINGS = (" mask", " masks", " label", " labels", " sample weight", " sample weights", " y true")
_FEATURE_MASKS = {
    f"{which} mask"
    for which in ("attention", "padding", "pad", "input", "history", "sequence", "valid", "face", "key", "segment")
} | {"record label"}


@dataclass(frozen=True)
class Declaration:
    """What is known of the names. features is None where nobody listed them."""

    features: Optional[FrozenSet[str]]
    training_only: FrozenSet[str]

    def role(self, name: str, signature: Signature) -> Role:
        """The role of an input; in TF1 its tensor can tell more than its name (`context` -> `sample_weights:0`)."""
        names = [name, *(_bare(tensor, signature.name) for tensor in _tensors(signature, name))]
        if any(each in self.training_only for each in names):
            return "training_only"
        if self.features is not None:
            return "feature" if name in self.features else "undeclared"
        guesses = {_guessed(each) for each in names}
        hints: Tuple[Role, ...] = ("named_for_training", "perhaps_for_training", "unknown")
        return next(each for each in hints if each in guesses)


def declare(
    manifest: Optional[Manifest], features: Optional[Iterable[str]], training_only: Iterable[str]
) -> Declaration:
    """The manifest's declaration together with the caller's; a name in `training_only` is never a feature."""
    listed = None if features is None else frozenset(features)
    forbidden = frozenset(training_only)
    if manifest is not None:
        listed = (listed or frozenset()) | _declared_inputs(manifest)
        forbidden |= frozenset(manifest.training_only)
    return Declaration(features=listed, training_only=forbidden)


def _declared_inputs(manifest: Manifest) -> FrozenSet[str]:
    """The arguments that carry a declared feature, their lengths, and what a request consists of (k, exclude)."""
    declared: List[str] = [each for feature in manifest.features for each in feature.inputs]
    for signature in manifest.signatures.values():
        requested = [name for name, info in signature.inputs.items() if info.role == "request"]
        carried = [info for name, info in signature.inputs.items() if name in declared or name in requested]
        declared += requested + [info.length for info in carried if info.length is not None]
    return frozenset(declared)


def _tensors(signature: Signature, name: str) -> Tuple[str, ...]:
    """Those of an input; a key of a parsed tf.Example is none, and has none."""
    return signature.inputs[name].tensors if name in signature.inputs else ()


def _bare(tensor: str, signature: str) -> str:
    """The name that whoever made the model gave: tf.saved_model puts the signature's before it, and a number behind."""
    name = node_name(tensor)
    name = name[len(signature) + 1 :] if name.startswith(signature + "_") else name
    return re.sub(r"_\d+$", "", name)


def _guessed(name: str) -> Role:
    """What a name says on its own."""
    if name.startswith(TRAINING_PREFIXES):
        return "named_for_training"
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.rpartition("/")[2])
    words = " ".join(re.split(r"[\W_]+", re.sub(r"[_\W]\d+$", "", spaced))).strip().lower()
    if words in _TRAINING_NAMES:
        return "named_for_training"
    if words.endswith(_TRAINING_ENDINGS) and words not in _FEATURE_MASKS:
        return "perhaps_for_training"
    return "unknown"
