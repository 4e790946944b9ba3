"""The API key: from the environment, or from a private file that it names; nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seedbatch.domain.errors import KeyMissing, UsageError
from seedbatch.domain.secret import Secret

if TYPE_CHECKING:
    from seedbatch.settings.loading import Settings

KEY_VARIABLE: Final = "MAXAPI_API_KEY"
KEY_FILE_VARIABLE: Final = "MAXAPI_API_KEY_FILE"
# What the sandbox is asked with; it looks at no key.
SANDBOX_KEY: Final = "sandbox"

_LONGEST_KEY: Final = 4096


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
