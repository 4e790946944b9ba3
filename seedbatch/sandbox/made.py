"""What is made of what was asked for: some models silently make something else, as the documentation says of Veo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from seedbatch.sandbox.models import MODELS

_MODES: Final = {0: "t2v", 1: "i2v", 2: "i2v-fl", 3: "r2v"}  # by the number of images, where none is named
_USUAL: Final = "720p"
_ONLY_DURATION: Final = 8  # seconds


def made(model: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The input as it is carried out and charged; the echo of a query still shows what was asked.

    What the model does not document is left out: nobody looked at it, and it is no number of images to charge for.
    """
    found = {name: value for name, value in asked.items() if MODELS[model].documents(name)}
    if model.startswith("veo3"):
        images = len(asked.get("imageUrls", ()))
        mode = veo_mode(asked)
        if model == "veo3_lite" or (mode == "i2v" and images == 1):
            found["resolution"] = _USUAL
        if mode == "r2v" or (mode == "i2v" and images == 1 and model == "veo3"):
            found["duration"] = _ONLY_DURATION
    return found


def veo_mode(asked: Mapping[str, Any]) -> str:
    """The mode that was named, else the one that the number of images means."""
    return str(asked.get("mode") or _MODES[min(3, len(asked.get("imageUrls", ())))])
