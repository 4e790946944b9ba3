from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from seedbatch.cli.options import only_manifests
from seedbatch.cli.words import clean, count, more_about, problems_text, say
from seedbatch.domain.errors import Exit, Problem, SeedbatchError

_STDIN = Path("-")


@click.command("fmt")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="MANIFEST...",
    callback=only_manifests,
)
@click.option(
    "--check", is_flag=True, help="Change nothing; name the files that would change, and exit 2 if any would."
)
@click.option("--diff", is_flag=True, help="Change nothing; show what would change.")
def command(paths: tuple[Path, ...], check: bool, diff: bool) -> int:
    """Bring manifests into their canonical form: order of keys, indentation, blank lines, quotes.

    Their meaning and their comments stay: a file of which that is not certain is left as it is. Nothing that this
    changes is ever submitted again. `-` reads a manifest from stdin and writes it to stdout.
    """
    wrong = differ = 0
    for path in dict.fromkeys(paths):
        found = _formatted(path)
        if isinstance(found, Problem):
            _tell(found)
            wrong += 1
            continue
        before, after = found
        if path == _STDIN and not check and not diff:
            click.echo(after, nl=False)
        elif before != after:
            differ += 1
            wrong += not _differs(path, before, after, check=check, diff=diff)
    if wrong:
        say(f"Error: {count(wrong, 'file')} could not be formatted, and {'is' if wrong == 1 else 'are'} unchanged")
        return int(Exit.USAGE)
    if check and differ:
        say(f"Error: {count(differ, 'file')} {'is' if differ == 1 else 'are'} not in canonical form")
        say("  → seedbatch fmt writes it")
        return int(Exit.USAGE)
    return int(Exit.OK)


def _formatted(path: Path) -> tuple[str, str] | Problem:
    """The text of a file, and its canonical form; or why it has none."""
    from seedbatch.manifest.formatting import Unformattable, formatted
    from seedbatch.manifest.reader import read

    if path == _STDIN:
        with NamedTemporaryFile(prefix="seedbatch-") as copy:
            copy.write(sys.stdin.buffer.read())
            copy.flush()
            document, raw = read(Path(copy.name)), Path(copy.name).read_bytes()
    else:
        document = read(path)
        raw = b"" if isinstance(document, Problem) else path.read_bytes()
    if isinstance(document, Problem):
        return replace(document, file=str(path))
    if not isinstance(document.value, dict):
        hint = "it begins with version: 1, batch: NAME and jobs:"
        return Problem(str(path), 1, 1, "manifest/shape", "a manifest is a mapping of keys", hint)
    try:
        # A byte order mark goes too, so what is compared is what stands in the file.
        return raw.decode("utf-8"), formatted(document.text)
    except Unformattable as error:
        return Problem(str(path), 0, 0, "", error.message, error.hint)


def _tell(problem: Problem) -> None:
    if problem.code:
        for text in problems_text([problem]):
            say(text)
        if sys.stderr.isatty():
            for text in more_about([problem]):
                say(text)
        return
    say(clean(str(problem)))
    if problem.hint:
        say(f"  → {problem.hint}")


def _differs(path: Path, before: str, after: str, *, check: bool, diff: bool) -> bool:
    """Show or write the canonical form; False if it cannot be written."""
    if diff:
        for line in _difference(str(path), before, after):
            click.echo(line)
    elif check:
        click.echo(clean(str(path)))
    else:
        from seedbatch.cli.rewriting import rewrite

        try:
            rewrite(path, after)
        except SeedbatchError as error:
            say(f"{clean(str(path))}: {error.message}")
            say(f"  → {error.hint}")
            return False
        say(f"  formatted  {clean(str(path))}")
    return True


def _difference(name: str, before: str, after: str) -> Iterator[str]:
    from difflib import unified_diff

    old, new = _lines(before), _lines(after)
    for line in unified_diff(old, new, clean(name), f"{clean(name)} (canonical)", lineterm=""):
        # Control characters of a foreign file are no commands to this terminal.
        yield clean(line)


def _lines(text: str) -> list[str]:
    *lines, rest = text.split("\n")
    return [*lines, rest, "\\ No newline at end of file"] if rest else lines
