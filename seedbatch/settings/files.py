"""Where values come from: the environment, `seedbatch.toml`, and the user's own configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seedbatch.domain.errors import UsageError
from seedbatch.settings.key import KEY_FILE_VARIABLE, KEY_VARIABLE
from seedbatch.settings.values import BUDGET, CEILINGS, FIELDS

_LARGEST_FILE: Final = 1 << 20
_TOML_PLACE: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_KEY_NAMES: Final = ("api_key", "api_key_file", "key", "maxapi_api_key", "maxapi_api_key_file")


@dataclass(frozen=True, slots=True)
class Layer:
    """Raw values of one source. `name` is `flag`, `environment`, or the file's."""

    name: str
    values: Mapping[str, object]
    budget: Mapping[str, object] = field(default_factory=dict)

    def origin(self, field_name: str) -> str:
        """Where a value of this layer comes from, for messages."""
        match self.name:
            case "flag":
                return f"flag --{field_name.replace('_', '-')}"
            case "environment":
                return f"environment {FIELDS[field_name].variable}"
            case _:
                return self.name


def from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    """The values that variables name; an empty one names nothing."""
    return {name: text for name, one in FIELDS.items() if (text := environ.get(one.variable, "").strip())}


def user_file(environ: Mapping[str, str]) -> Path:
    """The user's own file, by the rule of platformdirs, which is not loaded where XDG_CONFIG_HOME says it already."""
    home = Path(environ.get("XDG_CONFIG_HOME", ""))
    if home.is_absolute():
        return home / "seedbatch" / "config.toml"
    from platformdirs import user_config_path  # noqa: PLC0415 - every command loads this module

    return user_config_path("seedbatch", appauthor=False) / "config.toml"


def file_layer(path: Path, shown: str, forbidden: Mapping[str, str]) -> Layer:
    """The values of one TOML file; none if it is not there. `forbidden` are settings it must not name, with reasons.

    Raises:
        UsageError: it cannot be read, or names what it may not.
    """
    table = read_toml(path, shown)
    limits, budget = _subtable(table, "limits", shown), _subtable(table, "budget", shown)
    _check_names(table, [name for name in FIELDS if name not in CEILINGS], shown, forbidden)
    _check_names(limits, CEILINGS, f"{shown} [limits]", {})
    _check_names(budget, BUDGET, f"{shown} [budget]", {})
    return Layer(shown, {**table, **limits}, budget)


def _subtable(table: dict[str, Any], name: str, shown: str) -> dict[str, Any]:
    found = table.pop(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{shown}: {name} must be a table", hint=f"[{name}]")
    return found


def read_toml(path: Path, shown: str) -> dict[str, Any]:
    """A TOML file as a dictionary; empty if there is none.

    Raises:
        UsageError: it cannot be read; the message has line and column where an editor looks for them.
    """
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
                hint=f"set {FIELDS[name].variable}, or {name} in your own configuration file",
            )
        if name not in known:
            raise UsageError(f"{shown}: unknown setting {name!r}", hint=_nearest(name, known))


def _nearest(name: str, known: Iterable[str]) -> str:
    if name in CEILINGS:
        return f"{name} belongs into the table [limits]"
    import difflib  # noqa: PLC0415 - only a slip needs it

    near = difflib.get_close_matches(name.lower().replace("-", "_"), list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
