"""The models the sandbox knows and what each documents: allowed values, defaults, the name of its list of links.

Ids and values are the provider's. Where no default is documented, the sandbox fills in one of its own, and the echo
of the input shows it, as the provider's echo does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Model:
    """What one model accepts, or a family to name models of.

    `choices` are allowed values by field, `forms` what a field looks like whose values are not documented; `defaults`
    are filled in; `links` are the fields that may hold links, `most_links` how many are accepted at submit (None: any
    number, or counted later, while the task runs), `needs_links` whether there must be one. `makes` is how many images
    come where the model knows no `n`, `picture` their format.
    """

    name: str
    kind: str
    choices: Mapping[str, frozenset[Any]]
    defaults: Mapping[str, Any]
    links: tuple[str, ...] = ("imageUrls",)
    most_links: int | None = None
    needs_links: bool = False
    booleans: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    forms: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    makes: int = 1
    picture: str = "png"

    @property
    def seedance(self) -> bool:
        """Whether the material rules of Seedance hold for it."""
        return self.name.startswith("seedance-") and "mediaUrls" in self.links

    def documents(self, field: str) -> bool:
        """Whether it knows a field besides the prompt, so that its value was checked."""
        return field in self.choices or field in self.forms or field in self.booleans or field in self.links

    def named(self, name: str, *, without: frozenset[str] = frozenset(), **choices: frozenset[Any]) -> Model:
        """Another model of the family: other values for some fields, and fields `without` which it does not know."""
        kept = {known: values for known, values in {**self.choices, **choices}.items() if known not in without}
        defaults = {known: value for known, value in self.defaults.items() if known not in without}
        return replace(self, name=name, choices=kept, defaults=defaults)


_FIVE_RATIOS: Final = frozenset({"1:1", "4:3", "3:4", "16:9", "9:16"})
_RATIO: Final = re.compile(r"[1-9][0-9]?:[1-9][0-9]?")
_SIZES: Final = frozenset({"1k", "2k", "4k"})
_NOT_TAKEN: Final = frozenset({"ratio", "resolution"})

_SEEDANCE: Final = Model(
    "seedance",
    "video",
    {"ratio": _FIVE_RATIOS, "resolution": frozenset({"480p", "720p", "1080p"}), "duration": frozenset(range(4, 16))},
    {"ratio": "16:9", "resolution": "720p", "duration": 5, "fallback": False},
    links=("mediaUrls", "imageUrls"),
    booleans=frozenset({"fallback"}),
)
_VEO: Final = Model(
    "veo",
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
_BANANA: Final = Model(
    "nano-banana",
    "image",
    {"ratio": _FIVE_RATIOS, "resolution": _SIZES},
    {"ratio": "16:9", "resolution": "1k"},
)
_SEEDREAM: Final = Model(
    "seedream",
    "image",
    {
        "ratio": _FIVE_RATIOS | {"3:2", "2:3", "21:9"},
        "resolution": _SIZES,
        "n": frozenset(range(1, 16)),
    },
    {"ratio": "1:1", "resolution": "2k", "n": 1},
    picture="jpg",
)
_GPT_RATIOS: Final = _FIVE_RATIOS | {"3:2", "2:3", "5:4", "4:5", "2:1", "1:2", "21:9", "9:21"}
_GPT: Final = Model(
    "gpt-image-2",
    "image",
    {"ratio": _GPT_RATIOS, "resolution": _SIZES, "n": frozenset(range(1, 11))},
    {"resolution": "1k", "n": 1},
)
_GROK_IMAGE: Final = Model(
    "grok-imagine",
    "image",
    {
        "ratio": frozenset({"1:1", "16:9", "9:16"}),
        "resolution": frozenset({"720p", "1080p"}),
        "n": frozenset(range(1, 11)),
    },
    {"n": 1},
    picture="jpg",
)
_GROK_VIDEO: Final = Model(
    "grok-imagine",
    "video",
    {
        "ratio": frozenset({"1:1", "16:9", "9:16"}),
        "resolution": frozenset({"480p", "720p"}),
        "duration": frozenset({6, 10, 12, 16, 20}),
        "mode": frozenset({"fun", "normal", "spicy", "custom"}),
    },
    {"ratio": "16:9", "resolution": "480p", "duration": 6},
)

_JIMENG_VIDEO: Final = Model(
    "jimeng-video",
    "video",
    {},
    {"ratio": "16:9", "duration": 5},
    forms={"ratio": _RATIO, "duration": re.compile(r"[1-9][0-9]?")},
)
_JIMENG_IMAGE: Final = Model(
    "jimeng",
    "image",
    {},
    {"ratio": "16:9", "resolution": "2k"},
    links=("images",),
    forms={"ratio": _RATIO, "resolution": re.compile(r"[1-9]k")},
    picture="webp",
)

MODELS: Final[Mapping[str, Model]] = {
    model.name: model
    for model in (
        _SEEDANCE.named("seedance-2.0"),
        _SEEDANCE.named("seedance-2.0-fast"),
        _SEEDANCE.named("seedance-1.5-pro", duration=frozenset({5, 10})),
        _VEO.named("veo3"),
        _VEO.named("veo3_fast"),
        _VEO.named("veo3_lite"),
        _BANANA.named("nano-banana", ratio=frozenset({"16:9", "9:16"}), resolution=frozenset({"1k"})),
        _BANANA.named("nano-banana-2"),
        _BANANA.named("nano-banana-pro"),
        _SEEDREAM.named("seedream-5-lite", n=frozenset(range(1, 5))),
        # Of the pages before there was n: they show several images of one task.
        replace(_SEEDREAM.named("seedream-4.6", without=frozenset({"n"})), makes=4),
        _SEEDREAM.named("seedream-4.5"),
        _SEEDREAM.named("seedream-4"),
        _GPT.named("gpt-image-2/text-to-image"),
        replace(_GPT.named("gpt-image-2/image-to-image"), needs_links=True),
        replace(
            _GROK_IMAGE.named("grok-imagine/text-to-image-lite", without=_NOT_TAKEN, n=frozenset(range(1, 5))),
            refuses=_NOT_TAKEN,
        ),
        _GROK_IMAGE.named("grok-imagine/text-to-image-standard"),
        _GROK_IMAGE.named("grok-imagine/text-to-image-pro"),
        replace(
            _GROK_IMAGE.named("grok-imagine/image-to-image", without=_NOT_TAKEN | {"n"}),
            refuses=_NOT_TAKEN,
            needs_links=True,
            most_links=2,
        ),
        _GROK_VIDEO.named("grok-imagine/text-to-video"),
        _JIMENG_VIDEO.named("seedance-2.0-pro"),
        *(_JIMENG_VIDEO.named(f"jimeng-video-{one}") for one in ("3.5-pro", "3.0-pro", "3.0", "2.0-pro", "2.0")),
        *(_JIMENG_IMAGE.named(f"jimeng-{one}") for one in ("5.0-preview", "4.6", "4.5", "4.1", "4.0", "3.1", "3.0")),
        *(_JIMENG_IMAGE.named(f"jimeng-{one}") for one in ("2.1", "2.0-pro", "2.0", "1.4", "xl-pro")),
    )
}
# gpt-image-2 at 4k accepts only these.
GPT_4K_RATIOS: Final = frozenset({"16:9", "9:16", "2:1", "1:2", "21:9", "9:21"})
