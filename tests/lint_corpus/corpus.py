"""All cases of the corpus."""

from __future__ import annotations

from typing import Tuple

from tests.lint_corpus import clean, computing, files, inputs, keras3, manifests, outputs, running, training
from tests.lint_corpus.case import Case, Clean

CASES: Tuple[Case, ...] = tuple(
    case
    for family in (inputs, outputs, running, computing, files, training, manifests, keras3)
    for case in family.CASES
)
CLEAN: Tuple[Clean, ...] = tuple(model for family in (clean, training, manifests, keras3) for model in family.CLEAN)
