"""The models the sandbox knows and what each documents: allowed values, defaults, the name of its list of links.

Ids and values are the provider's. Where no default is documented, the sandbox fills in one of its own, and the echo
of the input shows it, as the provider's echo does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Model:
    """What one model accepts.

    `choices` are allowed values by field; `defaults` are filled in; `links` are the fields that may hold links,
    `most_links` how many are accepted at submit (None: counted later, while the task runs).
    """

    name: str
    kind: str
    choices: Mapping[str, frozenset[Any]]
    defaults: Mapping[str, Any]
    links: tuple[str, ...] = ("imageUrls",)
    most_links: int | None = None
    booleans: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()

    @property
    def seedance(self) -> bool:
        """Whether the material rules of Seedance hold for it."""
        return self.name.startswith("seedance-")


@dataclass(frozen=True, slots=True)
class _Family:
    kind: str
    choices: Mapping[str, frozenset[Any]]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[str, ...] = ("imageUrls",)
    most_links: int | None = None
    booleans: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()

    def model(self, name: str, *, refuses: frozenset[str] = frozenset(), **choices: frozenset[Any]) -> Model:
        merged = {**self.choices, **choices}
        return Model(
            name, self.kind, merged, self.defaults, self.links, self.most_links, self.booleans, self.refuses | refuses
        )


_FIVE_RATIOS: Final = frozenset({"1:1", "4:3", "3:4", "16:9", "9:16"})
_SIZES: Final = frozenset({"1k", "2k", "4k"})
_GROK_FIXED: Final = frozenset({"ratio", "resolution"})

_SEEDANCE: Final = _Family(
    "video",
    {"ratio": _FIVE_RATIOS, "resolution": frozenset({"480p", "720p", "1080p"}), "duration": frozenset(range(4, 16))},
    {"ratio": "16:9", "resolution": "720p", "duration": 5, "fallback": False},
    links=("mediaUrls", "imageUrls"),
    booleans=frozenset({"fallback"}),
)
_VEO: Final = _Family(
    "video",
    {
        "ratio": frozenset({"16:9", "9:16"}),
        "resolution": frozenset({"1080p", "4k"}),
        "duration": frozenset({4, 6, 8}),
        "mode": frozenset({"i2v", "i2v-fl", "r2v"}),
    },
    {"ratio": "16:9", "duration": 8},
    most_links=3,
)
_BANANA: Final = _Family("image", {"ratio": _FIVE_RATIOS, "resolution": _SIZES}, {"ratio": "1:1", "resolution": "1k"})
_SEEDREAM: Final = _Family(
    "image",
    {
        "ratio": _FIVE_RATIOS | {"3:2", "2:3", "21:9"},
        "resolution": _SIZES,
        "n": frozenset(range(1, 16)),
    },
    {"ratio": "1:1", "resolution": "2k", "n": 1},
)
_GPT_RATIOS: Final = _FIVE_RATIOS | {"3:2", "2:3", "5:4", "4:5", "2:1", "1:2", "21:9", "9:21"}
_GPT: Final = _Family(
    "image",
    {"ratio": _GPT_RATIOS, "resolution": _SIZES, "n": frozenset(range(1, 11))},
    {"resolution": "1k", "n": 1},
)
_GROK_IMAGE: Final = _Family(
    "image",
    {
        "ratio": frozenset({"1:1", "16:9", "9:16"}),
        "resolution": frozenset({"720p", "1080p"}),
        "n": frozenset(range(1, 11)),
    },
    {"n": 1},
)
_GROK_VIDEO: Final = _Family(
    "video",
    {
        "ratio": frozenset({"1:1", "16:9", "9:16"}),
        "resolution": frozenset({"480p", "720p"}),
        "duration": frozenset({6, 10, 12, 16, 20}),
        "mode": frozenset({"fun", "normal", "spicy", "custom"}),
    },
    {"ratio": "16:9", "resolution": "480p", "duration": 6},
)

MODELS: Final[Mapping[str, Model]] = {
    model.name: model
    for model in (
        _SEEDANCE.model("seedance-2.0"),
        _SEEDANCE.model("seedance-2.0-fast"),
        _SEEDANCE.model("seedance-1.5-pro", duration=frozenset({5, 10})),
        _VEO.model("veo3"),
        _VEO.model("veo3_fast"),
        _VEO.model("veo3_lite"),
        _BANANA.model("nano-banana", ratio=frozenset({"16:9", "9:16"}), resolution=frozenset({"1k"})),
        _BANANA.model("nano-banana-2"),
        _BANANA.model("nano-banana-pro"),
        _SEEDREAM.model("seedream-5-lite", n=frozenset(range(1, 5))),
        _SEEDREAM.model("seedream-4.6"),
        _SEEDREAM.model("seedream-4.5"),
        _SEEDREAM.model("seedream-4"),
        _GPT.model("gpt-image-2/text-to-image"),
        _GPT.model("gpt-image-2/image-to-image"),
        _GROK_IMAGE.model("grok-imagine/text-to-image-lite", refuses=_GROK_FIXED, n=frozenset(range(1, 5))),
        _GROK_IMAGE.model("grok-imagine/text-to-image-standard"),
        _GROK_IMAGE.model("grok-imagine/text-to-image-pro"),
        _GROK_VIDEO.model("grok-imagine/text-to-video"),
    )
}
# gpt-image-2 at 4k accepts only these.
GPT_4K_RATIOS: Final = frozenset({"16:9", "9:16", "2:1", "1:2", "21:9", "9:21"})
