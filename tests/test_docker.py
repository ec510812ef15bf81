"""The server image, as far as it can be checked without a Docker engine."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def minor(version: str) -> str:
    """2.16 of 2.16.1."""
    return version.rsplit(".", 1)[0]


def test_image_serves_the_pinned_minor_version() -> None:
    (image,) = re.findall(r"^FROM tensorflow/serving:(\S+)$", (ROOT / "docker/Dockerfile").read_text("utf-8"), re.M)
    (pinned,) = re.findall(r"^tensorflow==(\S+)$", (ROOT / "requirements.lock").read_text("utf-8"), re.M)
    assert minor(image) == minor(pinned)


def test_image_holds_the_model_where_the_server_looks() -> None:
    text = (ROOT / "docker/Dockerfile").read_text("utf-8")
    (copied,) = re.findall(r"^COPY (\S+) /models/(\S+)$", text, re.M)
    (name,) = re.findall(r"^ENV MODEL_NAME=(\S+)$", text, re.M)
    # The stock image starts its server with --model_base_path=/models/$MODEL_NAME.
    assert copied == (name, name)
