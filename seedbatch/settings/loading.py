"""Which value holds: a flag beats the environment, files beat defaults, and of ceilings the strictest named one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import CURRENCY, Money, micros
from seedbatch.settings.files import Layer, file_layer, from_environment, read_toml, user_file
from seedbatch.settings.values import FIELDS, NOT_FOR_PROJECTS, Unfit, cap, is_internal, is_loopback

PROJECT_FILE: Final = "seedbatch.toml"
DEFAULT_BASE_URL: Final = "https://api.maxapi.io"
DEFAULT_QUERIES_PER_SECOND: Final = 10.0
DEFAULT_DOUBT_WAIT: Final = 14_400.0


@dataclass(frozen=True, slots=True)
class PriceSource:
    """The rows of the price table, unread, and where they stand."""

    rows: tuple[object, ...] = ()
    origin: str = "seedbatch.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Each value that a command works with. Paths are absolute if the working directory was; durations in seconds.

    `shared` is a folder in which clips of others may lie. `base_url` and `public_url` have no trailing slash;
    `allow_origins` are `scheme://host:port`. `limits` holds only ceilings that somebody named. `reconcile_first`,
    `reconcile_every`, `sandbox_speed` and `sandbox_faults` are None where nobody named them; `queries_per_second` is
    None where nothing paces queries. `day_budget` caps what the ledger may submit on one UTC day.
    """

    ledger: Path
    output_dir: Path
    shared: Path | None
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

    @property
    def provider_is_local(self) -> bool:
        """Whether the provider is on this machine, and so may call it at any address."""
        return self.sandbox or is_loopback(self.base_url)

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
    own_file = user_file(environ)
    layers = [
        Layer("flag", {name: flags[name] for name in FIELDS if flags.get(name) not in (None, False)}),
        Layer("environment", from_environment(environ)),
        file_layer(cwd / PROJECT_FILE, PROJECT_FILE, forbidden=NOT_FOR_PROJECTS),
        file_layer(own_file, str(own_file), forbidden={}),
    ]
    found = {name: value for name in FIELDS if (value := _find(name, layers))}
    return _settled(found, cwd, _day_budget(layers))


@dataclass(frozen=True, slots=True)
class _Found:
    value: Any
    origin: str


def _find(name: str, layers: Iterable[Layer]) -> _Found | None:
    """The value of the first layer that names it; of a ceiling, the lowest of all. All that are named are checked."""
    found = list(_named(name, layers))
    if not found:
        return None
    return min(found, key=lambda one: cast("float", one.value)) if FIELDS[name].ceiling else found[0]


def _named(name: str, layers: Iterable[Layer]) -> Iterator[_Found]:
    for layer in layers:
        if name in layer.values:
            try:
                yield _Found(FIELDS[name].parse(layer.values[name]), layer.origin(name))
            except Unfit as error:
                raise UsageError(f"{name} from {layer.origin(name)} {error}") from None


def _day_budget(layers: Iterable[Layer]) -> Budget:
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
        max_jobs = None if "max_jobs" not in table else cap(table["max_jobs"])
        max_cost = None if "max_cost" not in table else micros(table["max_cost"])
    except (Unfit, ValueError) as error:
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
    table = read_toml(path, str(one.value))
    rows = table.pop("prices", None)
    if table or not isinstance(rows, list):
        raise UsageError(f"{one.value} must hold [[prices]] and nothing else", hint="one [[prices]] table a price")
    return PriceSource(tuple(rows), str(one.value))


def _settled(found: Mapping[str, _Found], cwd: Path, day_budget: Budget) -> Settings:
    def value(name: str, default: Any = None) -> Any:
        return found[name].value if name in found else default

    sandbox = value("sandbox", default=False)
    faults, shared = value("sandbox_faults"), value("shared")
    base_url = value("base_url", DEFAULT_BASE_URL)
    settings = Settings(
        ledger=cwd / value("ledger", Path(".seedbatch", "sandbox.db" if sandbox else "ledger.db")),
        output_dir=cwd / value("output_dir", Path("outputs", "sandbox") if sandbox else Path("outputs")),
        shared=None if shared is None else cwd / shared,
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
    if settings.base_url.startswith("http:") and not is_loopback(settings.base_url):
        raise UsageError(f"base_url from {settings.origin('base_url')} must be https, or on loopback")
    url = settings.public_url
    if url is not None and is_internal(url) and not settings.provider_is_local:
        raise UsageError(
            f"public_url from {settings.origin('public_url')} is an internal address: the provider calls none",
            hint="docs/webhooks.md has recipes for a tunnel, nginx and Caddy",
        )
    if url is not None and url.startswith("http:") and not (settings.provider_is_local and is_loopback(url)):
        raise UsageError(
            f"public_url from {settings.origin('public_url')} must be https",
            hint="http is for loopback, with the API's base URL on loopback too",
        )
