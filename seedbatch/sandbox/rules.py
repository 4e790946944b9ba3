"""What a submit is answered, decided without touching anything: validation, moderation, and how the task will end.

Three things a body can be: refused (HTTP 400, nothing is created), flagged by the screening before submission (HTTP
400 with the 13 categories, nothing is created), or accepted, with the outcome already decided. Broken material rules
of Seedance are no refusal: they are documented as `FAILURE` with `INVALID_PARAMETERS`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from seedbatch.sandbox.addresses import is_public
from seedbatch.sandbox.made import veo_mode
from seedbatch.sandbox.models import GPT_4K_RATIOS, MODELS, Model
from seedbatch.sandbox.tasks import Outcome

CATEGORIES: Final = (
    *("harassment", "harassment/threatening", "sexual", "sexual/minors", "hate", "hate/threatening", "illicit"),
    *("illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "violence", "violence/graphic"),
)
_MARKER: Final = re.compile(r"\[([a-z-]+)(?::([a-z/-]+))?\]")
_REJECTED_FOR: Final = "illicit"
_OUTCOMES: Final[Mapping[str, Outcome]] = {
    "fail": Outcome.FAIL,
    "fail-once": Outcome.FAIL,
    "moderation": Outcome.MODERATION,
    "invalid": Outcome.INVALID,
    "timeout": Outcome.TIMEOUT,
    "cancelled": Outcome.CANCELLED,
    "points": Outcome.POINTS,
}
_IMAGES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
_VIDEOS: Final = (".mp4", ".mov", ".m4v")
_SOUNDS: Final = (".mp3", ".wav")
_MOST_MATERIALS, _MOST_IMAGES, _MOST_SECONDS, _MOST_FRAMES = 12, 9, 15.0, 2
_MOST_IN_MODE: Final[Mapping[str, int]] = {"i2v": 1, "i2v-fl": 2, "r2v": 3}
_FALLBACK_DURATIONS: Final = frozenset({5, 10})


@dataclass(frozen=True, slots=True)
class Refused:
    """HTTP 400 with a message."""

    message: str


@dataclass(frozen=True, slots=True)
class Flagged:
    """HTTP 400 from the screening: the categories that apply."""

    categories: frozenset[str]

    @property
    def data(self) -> dict[str, Any]:
        """The `data` of the answer."""
        return {"flagged": True, "categories": {name: name in self.categories for name in CATEGORIES}}


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted submit. `echo` is the input with defaults and the model; `once`: only the first such prompt fails."""

    model: str
    kind: str
    echo: Mapping[str, Any]
    user_id: str | None
    callback_url: str | None
    outcome: Outcome
    outputs: int
    slow: bool
    once: bool


def judge(body: object, *, internal_callbacks: bool = False) -> Refused | Flagged | Order:
    """Decide about a parsed request body; `internal_callbacks` lets every http(s) URL be a `callBackUrl`."""
    if not isinstance(body, Mapping):
        return Refused("the body must be a JSON object")
    refusal = _envelope_refusal(body, internal_callbacks=internal_callbacks)
    if refusal is not None:
        return Refused(refusal)
    model, params = MODELS[body["model"]], body["input"]
    refusal = _input_refusal(model, params)
    if refusal is not None:
        return Refused(refusal)
    flags = _flags(params["prompt"])
    if flags - set(CATEGORIES):
        return Refused(f"unknown moderation category: {', '.join(sorted(flags - set(CATEGORIES)))}")
    return Flagged(frozenset(flags)) if flags else _order(model, body)


def material_problem(model: str, links: list[str]) -> str | None:
    """Which documented limit on Seedance materials is broken, if any; a link's `seconds=` tells its length."""
    kinds = [_material_kind(link) for link in links]
    if not 1 <= len(links) <= _MOST_MATERIALS:
        return f"1 to {_MOST_MATERIALS} materials, not {len(links)}"
    if None in kinds:
        return f"unknown kind of material: {links[kinds.index(None)]}"
    if kinds.count("image") > _MOST_IMAGES:
        return f"at most {_MOST_IMAGES} images"
    if model == "seedance-1.5-pro" and (kinds.count("image") < len(kinds) or len(kinds) > _MOST_FRAMES):
        return "a first and a last frame only"
    for kind in ("video", "sound"):
        seconds = sum(_seconds(link) for link, its in zip(links, kinds, strict=True) if its == kind)
        if seconds > _MOST_SECONDS:
            return f"at most {_MOST_SECONDS:g} s of {kind}"
    return None


def _envelope_refusal(body: Mapping[Any, Any], *, internal_callbacks: bool) -> str | None:
    model, callback, user = body.get("model"), body.get("callBackUrl"), body.get("user_id")
    if not isinstance(model, str) or not model:
        return "model is required"
    if model not in MODELS:
        return "unknown model"
    if not isinstance(body.get("input"), Mapping):
        return "input is required and must be an object"
    if callback is not None and not (_is_link(callback) and _encodable(callback)):
        return "callBackUrl must be an http(s) URL"
    if callback is not None and not internal_callbacks and not _is_public(callback):
        return "callBackUrl must be a public http(s) URL"
    if user is not None and (not isinstance(user, str) or not _encodable(user)):
        return "user_id must be a string"
    return None


def _input_refusal(model: Model, params: Mapping[str, Any]) -> str | None:
    prompt = params.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        return "input.prompt is required"
    for name, allowed in model.choices.items():
        value = params.get(name)
        # True == 1 and 5.0 == 5, and neither is what the provider's examples send.
        if name in params and (type(value) not in {str, int} or value not in allowed):
            return f"input.{name} must be one of {', '.join(str(each) for each in sorted(allowed))}"
    for name, form in model.forms.items():
        if name in params and (type(params[name]) not in {str, int} or not form.fullmatch(str(params[name]))):
            return f"input.{name} is not valid"
    for name in model.booleans:
        if name in params and not isinstance(params[name], bool):
            return f"input.{name} must be true or false"
    for name in model.refuses:
        if name in params:
            return f"{model.name} does not accept input.{name}"
    if model.name.startswith("gpt-image-2/") and params.get("resolution") == "4k":
        ratio = params.get("ratio", "16:9")
        if ratio not in GPT_4K_RATIOS:
            return f"input.ratio must be one of {', '.join(sorted(GPT_4K_RATIOS))} at 4k"
    return _links_refusal(model, params) or _veo_refusal(model, params)


def _links_refusal(model: Model, params: Mapping[str, Any]) -> str | None:
    for name in model.links:
        links = params.get(name, [])
        if not isinstance(links, list) or not all(_is_link(link) for link in links):
            return f"input.{name} must be a list of http(s) URLs"
        if model.most_links is not None and len(links) > model.most_links:
            return f"input.{name} holds at most {model.most_links} URLs"
    if model.needs_links and not any(params.get(name) for name in model.links):
        return f"input.{model.links[0]} is required"
    if all(name in params for name in ("mediaUrls", "imageUrls")):
        return "input.mediaUrls and input.imageUrls exclude one another"
    return None


def _veo_refusal(model: Model, params: Mapping[str, Any]) -> str | None:
    """Modes and numbers of images that no page gives a meaning are refused: the harder choice for a client."""
    if not model.name.startswith("veo3"):
        return None
    images, mode = len(params.get("imageUrls", ())), veo_mode(params)
    if model.name == "veo3_lite" and mode == "r2v":
        return "veo3_lite does not support r2v"
    if "mode" in params and not 1 <= images <= _MOST_IN_MODE[mode]:
        return f"input.mode {mode} takes 1 to {_MOST_IN_MODE[mode]} images"
    return None


def _order(model: Model, body: Mapping[str, Any]) -> Order:
    params = body["input"]
    echo = {**model.defaults, **params, "model": model.name}
    markers = [name for name, _ in _MARKER.findall(params["prompt"])]
    outcome = next((_OUTCOMES[name] for name in markers if name in _OUTCOMES), Outcome.SUCCESS)
    materials = [link for name in model.links for link in params.get(name, ())]
    given = any(name in params for name in model.links)
    if model.seedance and given and material_problem(model.name, materials) is not None:
        outcome = Outcome.INVALID
    if _falls_back(model, echo, materials, outcome):
        outcome = Outcome.SUCCESS
    return Order(
        model=model.name,
        kind=model.kind,
        echo=echo,
        user_id=body.get("user_id"),
        callback_url=body.get("callBackUrl"),
        outcome=outcome,
        outputs=_outputs(model, echo, markers),
        slow="slow" in markers,
        once="fail-once" in markers,
    )


def _outputs(model: Model, echo: Mapping[str, Any], markers: list[str]) -> int:
    if "no-output" in markers:
        return 0
    if "two" in markers:
        return 2
    return int(echo["n"]) if "n" in model.choices else model.makes


def _falls_back(model: Model, echo: Mapping[str, Any], materials: list[str], outcome: Outcome) -> bool:
    """Whether `fallback` turns this failure into a clip of seedance-1.5-pro, which must be able to make it."""
    return (
        model.seedance
        and echo["fallback"] is True
        and outcome in {Outcome.FAIL, Outcome.TIMEOUT}
        and echo["duration"] in _FALLBACK_DURATIONS
        and (not materials or material_problem("seedance-1.5-pro", materials) is None)
    )


def _flags(prompt: str) -> set[str]:
    found = _MARKER.findall(prompt)
    flags = {category for name, category in found if name == "flag"}
    return flags | {_REJECTED_FOR} if any(name == "reject" for name, _ in found) else flags


def _is_link(value: object) -> bool:
    return isinstance(value, str) and _host(value) is not None


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} else None


def _is_public(link: str) -> bool:
    """Whether a link names neither an internal address nor a local name; what other names mean shows at the call."""
    host = (_host(link) or "").rstrip(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal", ".localdomain"))
    return is_public(host)


def _encodable(text: str) -> bool:
    # JSON can spell half of a surrogate pair, which no UTF-8 can store.
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _material_kind(link: str) -> str | None:
    path = urlsplit(link).path.lower()
    for kind, endings in (("image", _IMAGES), ("video", _VIDEOS), ("sound", _SOUNDS)):
        if path.endswith(endings):
            return kind
    return None


def _seconds(link: str) -> float:
    try:
        return float(parse_qs(urlsplit(link).query).get("seconds", ["0"])[0])
    except ValueError:
        return 0.0
