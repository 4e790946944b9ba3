"""What a command was told, and by whom: the only reader of the environment and of `seedbatch.toml`.

A flag beats the environment, which beats `seedbatch.toml` in the working directory, which beats the user's own
configuration file, which beats the default. Limits are ceilings: there the strictest named one holds.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import SplitResult, urlsplit

from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import KeyMissing, UsageError
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import CURRENCY, Money, micros
from seedbatch.domain.secret import Secret

PROJECT_FILE: Final = "seedbatch.toml"
KEY_VARIABLE: Final = "MAXAPI_API_KEY"
KEY_FILE_VARIABLE: Final = "MAXAPI_API_KEY_FILE"
DEFAULT_BASE_URL: Final = "https://api.maxapi.io"
DEFAULT_QUERIES_PER_SECOND: Final = 10.0
DEFAULT_DOUBT_WAIT: Final = 14_400.0
# What the sandbox is asked with; it looks at no key.
SANDBOX_KEY: Final = "sandbox"

_LARGEST_FILE: Final = 1 << 20
_LONGEST_KEY: Final = 4096
_HIGHEST_PORT: Final = 65_535
_PORTS: Final = {"http": 80, "https": 443}
_TOML_PLACE: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class PriceSource:
    """The rows of the price table, unread, and where they stand."""

    rows: tuple[object, ...] = ()
    origin: str = "seedbatch.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Each value that a command works with. Paths are absolute if the working directory was; durations in seconds.

    `base_url` and `public_url` have no trailing slash; `allow_origins` are `scheme://host:port`. `limits` holds only
    ceilings that somebody named. `reconcile_first`, `reconcile_every`, `sandbox_speed` and `sandbox_faults` are None
    where nobody named them; `queries_per_second` is None where nothing paces queries. `day_budget` caps what the ledger
    may submit on one UTC day.
    """

    ledger: Path
    output_dir: Path
    base_url: str
    public_url: str | None
    limits: Limits
    queries_per_second: float | None
    allow_origins: frozenset[str]
    reconcile_first: float | None
    reconcile_every: float | None
    doubt_wait: float
    sandbox: bool
    sandbox_speed: float | None
    sandbox_faults: Path | None
    prices: PriceSource
    day_budget: Budget
    moderation_brake: Literal["expected", "strict"]
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where the value called `name` comes from: `flag --ledger`, `environment SEEDBATCH_LEDGER`, a file, `default`.

        The limits are called `submitting`, `in_flight` and `submits_per_minute`.
        """
        return self.origins.get(name, "default")


def load(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Settings:
    """The settings of one command. A flag that is None or False was not given, an empty variable is unset.

    Flags are named as the fields of `Settings`, ceilings as those of `Limits`; others are not looked at. All values
    that are named are checked, those that another one beats as well.

    Raises:
        UsageError: a value or a file is unusable; the message names the origin.
    """
    user_file = _user_file(environ)
    layers = [
        _Layer("flag", {name: flags[name] for name in _FIELDS if flags.get(name) not in (None, False)}),
        _Layer("environment", _from_environment(environ)),
        _file_layer(cwd / PROJECT_FILE, PROJECT_FILE, forbidden=_NOT_FOR_PROJECTS),
        _file_layer(user_file, str(user_file), forbidden={}),
    ]
    found = {name: value for name in _FIELDS if (value := _find(name, layers))}
    return _settled(found, cwd, _day_budget(layers))


def api_key(environ: Mapping[str, str], settings: Settings) -> Secret:
    """The API key: from `MAXAPI_API_KEY`, or from the file that `MAXAPI_API_KEY_FILE` names. In the sandbox, none.

    Raises:
        UsageError: both variables are set.
        KeyMissing: neither is, or what they hold is no key. No message shows any of it.
    """
    if settings.sandbox:
        return Secret(SANDBOX_KEY)
    direct, named = environ.get(KEY_VARIABLE, ""), environ.get(KEY_FILE_VARIABLE, "")
    if direct and named:
        raise UsageError(f"both {KEY_VARIABLE} and {KEY_FILE_VARIABLE} are set", hint="unset one of them")
    if direct:
        return _key(direct, KEY_VARIABLE)
    if named:
        return _key(_key_file(Path(named)), f"the file that {KEY_FILE_VARIABLE} names")
    raise KeyMissing(
        "no API key was given",
        hint=f"export {KEY_VARIABLE}=... or {KEY_FILE_VARIABLE}=FILE; --sandbox needs no key",
    )


# -- what a value may be ------------------------------------------------------------------------------------------

_Parse = Callable[[object], object]


class _Unfit(Exception):
    """A value that its setting cannot take; the words continue `ledger from flag --ledger ...`."""


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value).strip() or "\0" in str(value):
        raise _Unfit("is no path")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise _Unfit("names a home directory that is not known") from None


def _positive(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise _Unfit("must be more than 0")
    return number


def _not_negative(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise _Unfit("must not be negative")
    return number


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _Unfit("must be a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _Unfit("must be a number") from None
    if not math.isfinite(number):
        raise _Unfit("must be a finite number")
    return number


def _count(value: object) -> int:
    number = _positive(value)
    if number != int(number):
        raise _Unfit("must be a whole number")
    return int(number)


def _cap(value: object) -> int:
    """A cap: 0 is one as well."""
    number = _not_negative(value)
    if number != int(number):
        raise _Unfit("max_jobs must be a whole number")
    return int(number)


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise _Unfit("must be true or false")
    return word in _TRUE


def _price_rows(value: object) -> tuple[object, ...] | Path:
    """Rows as they stand in a table, or the file that holds them."""
    if isinstance(value, list):
        return tuple(value)
    return _path(value)


def _brake(value: object) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in ("expected", "strict"):
        raise _Unfit('must be "expected" or "strict"')
    return word


def _origins(value: object) -> frozenset[str]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, Iterable):
        raise _Unfit("must be origins such as https://cdn.example:8443, separated by commas")
    return frozenset(_origin(part) for part in value)


def _origin(value: object) -> str:
    split = _split(value)
    if split.path not in ("", "/"):
        raise _Unfit("must be an origin without a path, such as https://cdn.example:8443")
    host = split.hostname or ""
    if "*" in host:
        raise _Unfit("must name one host, without *")
    port = split.port or _PORTS[split.scheme]
    return f"{split.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _address(value: object) -> str:
    split = _split(value)
    return f"{split.scheme}://{split.netloc.lower()}{split.path.rstrip('/')}"


def _split(value: object) -> SplitResult:
    """A URL without anything that hides where it leads. What is wrong is said without quoting it: it may hold a key."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.isascii() or not text.isprintable() or re.search(r"[\s\\]", text):
        raise _Unfit("must be a URL of plain characters")
    try:
        split = urlsplit(text)
        port = split.port
    except ValueError:
        raise _Unfit("is no URL") from None
    if split.scheme not in _PORTS or not split.hostname or port == 0:
        raise _Unfit("must be a URL such as https://host")
    if "@" in split.netloc:
        raise _Unfit("must not hold credentials")
    if "?" in text or "#" in text:
        raise _Unfit("must have neither a query nor a fragment")
    return split


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True, slots=True)
class _Field:
    """One setting: how it is read, its variable, and whether it is a ceiling, named in the table `[limits]`."""

    parse: _Parse
    variable: str
    ceiling: bool = False


_FIELDS: Final[Mapping[str, _Field]] = {
    "ledger": _Field(_path, "SEEDBATCH_LEDGER"),
    "output_dir": _Field(_path, "SEEDBATCH_OUTPUT_DIR"),
    "base_url": _Field(_address, "MAXAPI_BASE_URL"),
    "public_url": _Field(_address, "SEEDBATCH_PUBLIC_URL"),
    "allow_origins": _Field(_origins, "SEEDBATCH_ALLOW_ORIGINS"),
    "reconcile_first": _Field(_positive, "SEEDBATCH_RECONCILE_FIRST"),
    "reconcile_every": _Field(_positive, "SEEDBATCH_RECONCILE_EVERY"),
    "doubt_wait": _Field(_not_negative, "SEEDBATCH_DOUBT_WAIT"),
    "sandbox": _Field(_switch, "SEEDBATCH_SANDBOX"),
    "sandbox_speed": _Field(_positive, "SEEDBATCH_SANDBOX_SPEED"),
    "sandbox_faults": _Field(_path, "SEEDBATCH_SANDBOX_FAULTS"),
    "prices": _Field(_price_rows, "SEEDBATCH_PRICES"),
    "moderation_brake": _Field(_brake, "SEEDBATCH_MODERATION_BRAKE"),
    "submitting": _Field(_count, "SEEDBATCH_SUBMITTING", ceiling=True),
    "in_flight": _Field(_count, "SEEDBATCH_IN_FLIGHT", ceiling=True),
    "submits_per_minute": _Field(_positive, "SEEDBATCH_SUBMITS_PER_MINUTE", ceiling=True),
    "queries_per_second": _Field(_positive, "SEEDBATCH_QUERIES_PER_SECOND", ceiling=True),
}
_CEILINGS: Final = tuple(name for name, one in _FIELDS.items() if one.ceiling)
_BUDGET: Final = ("max_jobs", "max_cost", "currency")
_KEY_NAMES: Final = ("api_key", "api_key_file", "key", "maxapi_api_key", "maxapi_api_key_file")
# seedbatch.toml comes with a cloned repository: these would let its author send the key, or callbacks, or downloads
# where they like.
_NOT_FOR_PROJECTS: Final[Mapping[str, str]] = {
    "base_url": "it says where your API key is sent",
    "public_url": "it says where your results are announced",
    "allow_origins": "it says which private addresses may be reached",
}

# -- where values come from ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layer:
    """Raw values of one source. `name` is `flag`, `environment`, or the file's."""

    name: str
    values: Mapping[str, object]
    budget: Mapping[str, object] = field(default_factory=dict)

    def origin(self, field_name: str) -> str:
        match self.name:
            case "flag":
                return f"flag --{field_name.replace('_', '-')}"
            case "environment":
                return f"environment {_FIELDS[field_name].variable}"
            case _:
                return self.name


@dataclass(frozen=True, slots=True)
class _Found:
    value: Any
    origin: str


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    return {name: text for name, one in _FIELDS.items() if (text := environ.get(one.variable, "").strip())}


def _user_file(environ: Mapping[str, str]) -> Path:
    """The user's own file, by the rule of platformdirs, which is not loaded where XDG_CONFIG_HOME says it already."""
    home = Path(environ.get("XDG_CONFIG_HOME", ""))
    if home.is_absolute():
        return home / "seedbatch" / "config.toml"
    from platformdirs import user_config_path  # noqa: PLC0415 - every command loads this module

    return user_config_path("seedbatch", appauthor=False) / "config.toml"


def _file_layer(path: Path, shown: str, forbidden: Mapping[str, str]) -> _Layer:
    table = _toml(path, shown)
    limits, budget = _subtable(table, "limits", shown), _subtable(table, "budget", shown)
    _check_names(table, [name for name in _FIELDS if name not in _CEILINGS], shown, forbidden)
    _check_names(limits, _CEILINGS, f"{shown} [limits]", {})
    _check_names(budget, _BUDGET, f"{shown} [budget]", {})
    return _Layer(shown, {**table, **limits}, budget)


def _subtable(table: dict[str, Any], name: str, shown: str) -> dict[str, Any]:
    found = table.pop(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{shown}: {name} must be a table", hint=f"[{name}]")
    return found


def _toml(path: Path, shown: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from None
    if len(raw) > _LARGEST_FILE:
        raise UsageError(f"{shown} is larger than 1 MiB")
    import tomllib  # noqa: PLC0415 - most commands find no file

    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown}: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise UsageError(f"{shown}: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_placed(str(error), shown, raw)) from None


def _placed(message: str, shown: str, raw: bytes) -> str:
    """Tomllib's message, with line and column where an editor looks for them: `seedbatch.toml:3:7: ...`."""
    match = _TOML_PLACE.fullmatch(message)
    if match is None:
        return f"{shown}: {message}"
    words, line, column = match.groups()
    if line is None:
        lines = raw.decode("utf-8").split("\n")
        line, column = str(len(lines)), str(len(lines[-1]) + 1)
    return f"{shown}:{line}:{column}: {words}"


def _check_names(table: Mapping[str, object], known: Iterable[str], shown: str, forbidden: Mapping[str, str]) -> None:
    for name in table:
        if name.lower().replace("-", "_") in _KEY_NAMES:
            raise UsageError(
                f"{shown} must not hold the API key, nor say where it is",
                hint=f"set {KEY_VARIABLE}, or {KEY_FILE_VARIABLE} to the path of a file that holds it",
            )
        if name in forbidden:
            raise UsageError(
                f"{shown} may not set {name}: {forbidden[name]}, and the file comes with the repository, "
                "whoever wrote it",
                hint=f"set {_FIELDS[name].variable}, or {name} in your own configuration file",
            )
        if name not in known:
            raise UsageError(f"{shown}: unknown setting {name!r}", hint=_nearest(name, known))


def _nearest(name: str, known: Iterable[str]) -> str:
    if name in _CEILINGS:
        return f"{name} belongs into the table [limits]"
    import difflib  # noqa: PLC0415 - only a slip needs it

    near = difflib.get_close_matches(name.lower().replace("-", "_"), list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


# -- which value holds --------------------------------------------------------------------------------------------


def _find(name: str, layers: Iterable[_Layer]) -> _Found | None:
    """The value of the first layer that names it; of a ceiling, the lowest of all. All that are named are checked."""
    found = list(_named(name, layers))
    if not found:
        return None
    return min(found, key=lambda one: cast("float", one.value)) if _FIELDS[name].ceiling else found[0]


def _named(name: str, layers: Iterable[_Layer]) -> Iterator[_Found]:
    for layer in layers:
        if name in layer.values:
            try:
                yield _Found(_FIELDS[name].parse(layer.values[name]), layer.origin(name))
            except _Unfit as error:
                raise UsageError(f"{name} from {layer.origin(name)} {error}") from None


def _day_budget(layers: Iterable[_Layer]) -> Budget:
    """The strictest caps that the files name for a day."""
    budget = Budget()
    for layer in layers:
        named = _budget(layer.budget, f"{layer.name} [budget]")
        if budget.max_cost and named.max_cost and budget.max_cost.currency != named.max_cost.currency:
            raise UsageError(
                f"{layer.name} [budget] is in {named.max_cost.currency}, and another file's in "
                f"{budget.max_cost.currency}",
                hint="two currencies cannot be compared: name one",
            )
        jobs = [one for one in (budget.max_jobs, named.max_jobs) if one is not None]
        costs = [one for one in (budget.max_cost, named.max_cost) if one is not None]
        budget = Budget(min(jobs, default=None), min(costs, key=lambda cost: cost.micros, default=None))
    return budget


def _budget(table: Mapping[str, object], where: str) -> Budget:
    try:
        max_jobs = None if "max_jobs" not in table else _cap(table["max_jobs"])
        max_cost = None if "max_cost" not in table else micros(table["max_cost"])
    except (_Unfit, ValueError) as error:
        raise UsageError(f"{where}: {error}", hint='max_jobs = 100, max_cost = "40.00"') from None
    currency = table.get("currency")
    if (max_cost is None) != (currency is None):
        raise UsageError(f"{where}: max_cost and currency go together", hint='max_cost = "40.00", currency = "USD"')
    if max_cost is None:
        return Budget(max_jobs)
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        raise UsageError(f"{where}: currency must be three capital letters", hint='currency = "USD"')
    return Budget(max_jobs, Money(max_cost, currency))


def _price_source(found: Mapping[str, _Found], cwd: Path) -> PriceSource:
    if "prices" not in found:
        return PriceSource()
    one = found["prices"]
    if isinstance(one.value, tuple):
        return PriceSource(one.value, one.origin)
    path = cwd / one.value
    if not path.is_file():
        raise UsageError(f"prices from {one.origin}: there is no file {one.value}")
    table = _toml(path, str(one.value))
    rows = table.pop("prices", None)
    if table or not isinstance(rows, list):
        raise UsageError(f"{one.value} must hold [[prices]] and nothing else", hint="one [[prices]] table a price")
    return PriceSource(tuple(rows), str(one.value))


def _settled(found: Mapping[str, _Found], cwd: Path, day_budget: Budget) -> Settings:
    def value(name: str, default: Any = None) -> Any:
        return found[name].value if name in found else default

    sandbox = value("sandbox", default=False)
    faults = value("sandbox_faults")
    base_url = value("base_url", DEFAULT_BASE_URL)
    settings = Settings(
        ledger=cwd / value("ledger", Path(".seedbatch", "sandbox.db" if sandbox else "ledger.db")),
        output_dir=cwd / value("output_dir", Path("outputs", "sandbox") if sandbox else Path("outputs")),
        base_url=base_url,
        public_url=value("public_url"),
        limits=Limits(value("submitting"), value("in_flight"), value("submits_per_minute")),
        queries_per_second=value("queries_per_second", None if sandbox else DEFAULT_QUERIES_PER_SECOND),
        allow_origins=value("allow_origins", frozenset()),
        reconcile_first=value("reconcile_first"),
        reconcile_every=value("reconcile_every"),
        doubt_wait=value("doubt_wait", DEFAULT_DOUBT_WAIT),
        sandbox=sandbox,
        sandbox_speed=value("sandbox_speed"),
        sandbox_faults=None if faults is None else cwd / faults,
        prices=_price_source(found, cwd),
        day_budget=day_budget,
        moderation_brake=value("moderation_brake", "expected"),
        origins={name: one.origin for name, one in found.items()},
    )
    _check_encrypted(settings)
    return settings


def _check_encrypted(settings: Settings) -> None:
    """Https for whatever leaves this machine. A public URL on loopback needs a provider that is there as well."""
    if settings.base_url.startswith("http:") and not _loopback(settings.base_url):
        raise UsageError(f"base_url from {settings.origin('base_url')} must be https, or on loopback")
    url = settings.public_url
    if url is not None and url.startswith("http:"):
        at_home = settings.sandbox or _loopback(settings.base_url)
        if not (at_home and _loopback(url)):
            raise UsageError(
                f"public_url from {settings.origin('public_url')} must be https",
                hint="http is for loopback, with the API's base URL on loopback too",
            )


# -- the key ------------------------------------------------------------------------------------------------------


def _key_file(path: Path) -> str:
    where = f"the file that {KEY_FILE_VARIABLE} names"
    try:
        with path.expanduser().open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_LONGEST_KEY + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path is of no use"
        raise KeyMissing(f"{where} cannot be read: {reason}", hint=f"looked at {path}") from None
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        raise KeyMissing(f"{where} can be read by others", hint=f"chmod 600 {path}")
    text = raw.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    if not text:
        raise KeyMissing(f"{where} is empty", hint=f"looked at {path}")
    return text


def _key(text: str, where: str) -> Secret:
    """The key, if it fits into a header; a line break at its end is a slip of the shell."""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise KeyMissing(f"{where} is empty", hint="put the key there")
    if len(text) > _LONGEST_KEY:
        raise KeyMissing(f"{where} holds more than {_LONGEST_KEY} characters: that is no API key")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise KeyMissing(
            f"{where} holds a character that no API key has: a space, a line break, or one beyond ASCII",
            hint="copy the key again; it is not shown here",
        )
    return Secret(text)
