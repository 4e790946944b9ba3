"""The one place where an exception becomes words and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

import click

from seedbatch.cli.words import more_about, problems_text, say
from seedbatch.domain.errors import Exit, ManifestInvalid, SeedbatchError

# The cycle collector looks after so many new objects instead of 700: of a million jobs none is a cycle, and looking for
# them took a tenth of the time.
_COLLECTING: Final = (50_000, 20, 20)


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the program and exit."""
    gc.set_threshold(*_COLLECTING)
    code = _code(arguments)
    # A display that could not be closed leaves its own streams behind.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    for stream, handle in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # the terminal was closed: what is left to say goes nowhere
            _silence(handle)
    sys.exit(code)


def _code(arguments: list[str] | None) -> int:
    from seedbatch.cli.app import app

    stdout = sys.stdout
    try:
        result = app.main(args=arguments, prog_name="seedbatch", standalone_mode=False)
        _flush()
    except click.exceptions.Abort:
        return _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return int(Exit.USAGE)
    except BrokenPipeError:
        return _unread()
    except SystemExit as exiting:
        # click meets a broken pipe by exchanging stdout and exiting
        return int(exiting.code or 0) if sys.stdout is stdout else _unread()
    except SeedbatchError as error:
        return _tell(error)
    except BaseExceptionGroup as group:
        return _of_group(group)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return _bug(error)
    return result if isinstance(result, int) else int(Exit.OK)


def _of_group(group: BaseExceptionGroup[BaseException]) -> int:
    """What several roles met at once: each says its own words, the first gives the code."""
    leaves = _leaves(group)
    known = {leaf.message: leaf for leaf in leaves if isinstance(leaf, SeedbatchError)}
    if not known:
        return _bug(leaves[0])
    codes = [_tell(error) for error in known.values()]
    return codes[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


def _tell(error: SeedbatchError) -> int:
    if isinstance(error, ManifestInvalid):
        for text in problems_text(error.problems):
            say(text)
    say(f"Error: {error.message}")
    if error.hint:
        say(f"  → {error.hint}")
    elif isinstance(error, ManifestInvalid) and sys.stderr.isatty():
        for text in more_about(error.problems):
            say(text)
    return int(error.exit)


def _interrupted() -> int:
    say("\nInterrupted: nothing was submitted by this command.")
    return int(Exit.INTERRUPTED)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:  # the terminal was closed
        _silence(1)


def _unread() -> int:
    """Whoever read the output has seen enough; what is still buffered goes nowhere."""
    _silence(1)
    return int(Exit.OK)


def _silence(handle: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), handle)


def _bug(error: BaseException) -> int:
    import traceback
    from pathlib import Path
    from tempfile import mkstemp

    handle, name = mkstemp(prefix="seedbatch-", suffix=".log")
    os.close(handle)
    Path(name).write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    say(
        f"Error: a bug in seedbatch ({type(error).__name__}). What was submitted is in the ledger.\n"
        f"  → please report it with {name}"
    )
    return int(Exit.BUG)
