"""What tuning leaves in the export: batching_params.pbtxt, and a warm-up record for each signature and batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from serving import prediction_logs, records
from serving.client.client import Client
from serving.client.transport import Target
from serving.deployment.served import TUNED
from serving.load import sources
from serving.releases import golden
from signatures.errors import UsageError
from signatures.files import write_whole


def warm_up(client: Client, model: str, export: Path, sizes: Sequence[int]) -> bytes:
    """The warm-up file: the golden request of each signature, its rows repeated to each size.

    Raises UsageError for an export without golden requests, and for more records than a server takes.
    """
    found = []
    for signature in golden.signatures(export):
        target = Target(model, signature)
        for size in sizes:
            sample = sources.samples(client, target, sources.golden(export, signature), size)[0]
            found.append(prediction_logs.encoded(model, signature, sample.arrays))
    if not 0 < len(found) <= prediction_logs.MOST_WARM_UP_RECORDS:
        raise UsageError(f"{export} would get {len(found)} warm-up records; a server takes 1 to "
                         f"{prediction_logs.MOST_WARM_UP_RECORDS:,}. Export golden requests, or allow fewer sizes")
    return records.encoded(found)


def write(export: Path, parameters: str, warm_up_records: bytes) -> None:
    """Each file as a whole, the warm-up first: at any moment the version is one that loads.

    The folder itself is never renamed: a server that polls it would unload the version. Raises UsageError when the
    disk refuses.
    """
    for name, content in ((prediction_logs.PATH_IN_EXPORT, warm_up_records), (TUNED, parameters.encode())):
        write_whole(export / name, content, "make the export writable")
