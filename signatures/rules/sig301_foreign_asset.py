"""An asset is not in the export.

Why: the server looks for it below `assets/` of the version folder. Missing, or named by a path of another machine, the
model does not load.

Bad: an asset named `/tmp/vocabulary.txt` or `../vocabulary.txt`; a vocabulary deleted after the export.

Good: every asset is a file below `assets/`.
"""

from __future__ import annotations

import re
from typing import Iterator

from signatures.export import INIT, Export
from signatures.findings import Finding, Rule

RULE = Rule(
    code="SIG301",
    name="foreign_asset",
    severity="error",
    bad=("asset path /tmp/vocabulary.txt", "asset path ../vocabulary.txt missing", "asset path ids.txt missing"),
    good=("asset path vocabulary.txt",),
)

_OUTSIDE = re.compile(r"/.*|[A-Za-z]:.*|\w+://.*|(.*[/\\])?\.\.([/\\].*)?", re.DOTALL)


def check(export: Export) -> Iterator[Finding]:
    """Finds assets that lead out of the export, and those that are not there."""
    for asset in export.model.assets:
        if _OUTSIDE.fullmatch(asset.filename):
            problem = "is a path outside the export"
        elif not asset.present:
            problem = "is missing from assets/"
        else:
            continue
        yield RULE.finding(
            f"asset {asset.filename!r} {problem}, so the model does not load; export it again with that file",
            INIT,
            asset.tensor,
        )
