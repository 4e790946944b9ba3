"""What each setting may be: how it is read from text or TOML, its variable, and who may set it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})

Parse = Callable[[object], object]


class Unfit(Exception):
    """A value that its setting cannot take; the words continue `ledger from flag --ledger ...`."""


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value).strip() or "\0" in str(value):
        raise Unfit("is no path")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise Unfit("names a home directory that is not known") from None


def _positive(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise Unfit("must be more than 0")
    return number


def _not_negative(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise Unfit("must not be negative")
    return number


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit("must be a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Unfit("must be a number") from None
    if not math.isfinite(number):
        raise Unfit("must be a finite number")
    return number


def _count(value: object) -> int:
    number = _positive(value)
    if number != int(number):
        raise Unfit("must be a whole number")
    return int(number)


def cap(value: object) -> int:
    """A whole number from 0: a cap of nothing is one as well."""
    number = _not_negative(value)
    if number != int(number):
        raise Unfit("max_jobs must be a whole number")
    return int(number)


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise Unfit("must be true or false")
    return word in _TRUE


def _price_rows(value: object) -> tuple[object, ...] | Path:
    """Rows as they stand in a table, or the file that holds them."""
    if isinstance(value, list):
        return tuple(value)
    return _path(value)


def _brake(value: object) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in ("expected", "strict"):
        raise Unfit('must be "expected" or "strict"')
    return word


def _origins(value: object) -> frozenset[str]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, Iterable):
        raise Unfit("must be origins such as https://cdn.example:8443, separated by commas")
    return frozenset(_origin(part) for part in value)


def _origin(value: object) -> str:
    split = _split(value)
    if split.path not in ("", "/"):
        raise Unfit("must be an origin without a path, such as https://cdn.example:8443")
    host = split.hostname or ""
    if "*" in host:
        raise Unfit("must name one host, without *")
    port = split.port or _PORTS[split.scheme]
    return f"{split.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _address(value: object) -> str:
    split = _split(value)
    return f"{split.scheme}://{split.netloc.lower()}{split.path.rstrip('/')}"


def _split(value: object) -> SplitResult:
    """A URL without anything that hides where it leads. What is wrong is said without quoting it: it may hold a key."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.isascii() or not text.isprintable() or re.search(r"[\s\\]", text):
        raise Unfit("must be a URL of plain characters")
    try:
        split = urlsplit(text)
        port = split.port
    except ValueError:
        raise Unfit("is no URL") from None
    if split.scheme not in _PORTS or not split.hostname or port == 0:
        raise Unfit("must be a URL such as https://host")
    if "@" in split.netloc:
        raise Unfit("must not hold credentials")
    if "?" in text or "#" in text:
        raise Unfit("must have neither a query nor a fragment")
    return split


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine and nowhere else."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_internal(url: str) -> bool:
    """Whether a URL leads, without asking anybody, to an address that the internet does not reach."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: how it is read, its variable, and whether it is a ceiling, named in the table `[limits]`."""

    parse: Parse
    variable: str
    ceiling: bool = False


FIELDS: Final[Mapping[str, Field]] = {
    "ledger": Field(_path, "SEEDBATCH_LEDGER"),
    "output_dir": Field(_path, "SEEDBATCH_OUTPUT_DIR"),
    "shared": Field(_path, "SEEDBATCH_SHARED"),
    "base_url": Field(_address, "MAXAPI_BASE_URL"),
    "public_url": Field(_address, "SEEDBATCH_PUBLIC_URL"),
    "allow_origins": Field(_origins, "SEEDBATCH_ALLOW_ORIGINS"),
    "reconcile_first": Field(_positive, "SEEDBATCH_RECONCILE_FIRST"),
    "reconcile_every": Field(_positive, "SEEDBATCH_RECONCILE_EVERY"),
    "doubt_wait": Field(_not_negative, "SEEDBATCH_DOUBT_WAIT"),
    "sandbox": Field(_switch, "SEEDBATCH_SANDBOX"),
    "sandbox_speed": Field(_positive, "SEEDBATCH_SANDBOX_SPEED"),
    "sandbox_faults": Field(_path, "SEEDBATCH_SANDBOX_FAULTS"),
    "prices": Field(_price_rows, "SEEDBATCH_PRICES"),
    "moderation_brake": Field(_brake, "SEEDBATCH_MODERATION_BRAKE"),
    "submitting": Field(_count, "SEEDBATCH_SUBMITTING", ceiling=True),
    "in_flight": Field(_count, "SEEDBATCH_IN_FLIGHT", ceiling=True),
    "submits_per_minute": Field(_positive, "SEEDBATCH_SUBMITS_PER_MINUTE", ceiling=True),
    "queries_per_second": Field(_positive, "SEEDBATCH_QUERIES_PER_SECOND", ceiling=True),
}
CEILINGS: Final = tuple(name for name, one in FIELDS.items() if one.ceiling)
BUDGET: Final = ("max_jobs", "max_cost", "currency")
# seedbatch.toml comes with a cloned repository: these would let its author send the key, or callbacks, or downloads
# where they like.
NOT_FOR_PROJECTS: Final[Mapping[str, str]] = {
    "base_url": "it says where your API key is sent",
    "public_url": "it says where your results are announced",
    "allow_origins": "it says which private addresses may be reached",
}
