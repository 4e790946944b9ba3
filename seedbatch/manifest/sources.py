"""The rows of CSV and JSON Lines files, one at a time: a million of them take no more memory than ten."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from seedbatch.domain.errors import Problem
from seedbatch.domain.fingerprint import Json
from seedbatch.manifest.builder import DEEPEST
from seedbatch.manifest.places import LONGEST_SOURCE

LONGEST_CELL: Final = 100_000  # characters
LONGEST_ROW: Final = 1_000_000  # bytes
_BOM: Final = b"\xef\xbb\xbf"
_OTHER_DELIMITERS: Final = {";": '";"', "\t": r'"\t"', "|": '"|"'}


class Unusable(Exception):
    """A file that cannot be a source; words for a person."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class _Stop(Exception):
    """The file cannot be read on from here."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number (the header is none), the 1-based line on which it begins, and its cells by column.

    `text` is the lines that it was read from.
    """

    number: int
    line: int
    cells: dict[str, Json]
    text: Sequence[str] = ()


class Source:
    """One file of rows. `file` is its name in messages; `delimiter` is None for JSON Lines.

    `digest` is the SHA-256 of its bytes, once `rows` came to its end.
    """

    def __init__(self, path: Path, file: str, delimiter: str | None) -> None:
        self.file = file
        self.delimiter = delimiter
        self.digest = ""
        self._path = path
        self._restart()

    def _restart(self) -> None:
        self._hash = hashlib.sha256()
        self._columns: Sequence[str] = ()
        self._line = 0  # lines read
        self._begun = 1  # the line on which the present row begins
        self._size = 0  # of the present row
        self._text: list[str] = []  # its lines

    def rows(self) -> Iterator[Row | Problem]:
        """Every row; a problem in its place where one cannot be used, and as the last where none can be read on."""
        self._restart()
        try:
            with _opened(self._path) as file:
                lines = self._lines(file)
                yield from self._json_rows(lines) if self.delimiter is None else self._csv_rows(lines)
        except _Stop as stop:
            yield stop.problem
        except Unusable as error:
            yield Problem(self.file, 0, 0, error.code, error.message, error.hint)
        except OSError as error:
            yield Problem(self.file, 0, 0, "source/unreadable", f"it cannot be read: {error.strerror}")
        self.digest = self._hash.hexdigest()

    def texts(self, lines: Collection[int]) -> dict[int, str]:
        """The text of some of its lines, by 1-based number."""
        found: dict[int, str] = {}
        with suppress(OSError, Unusable), _opened(self._path) as file:
            for number in range(1, max(lines, default=0) + 1):
                data = file.readline(LONGEST_ROW)
                if number in lines:
                    found[number] = (
                        data.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n")[:LONGEST_SOURCE]
                    )
        return found

    def problem(self, row: Row, column: str, code: str, message: str, hint: str = "") -> Problem:
        """A problem at a cell of a row; at the row itself where `column` is none of its cells."""
        text = "".join(row.text)
        at = self._offset(text, column)
        before = text.count("\n", 0, at)
        place = at - (text.rfind("\n", 0, at) + 1)
        line = text.split("\n", before + 1)[before].rstrip("\r")
        shown = line[:LONGEST_SOURCE] if place < LONGEST_SOURCE else ""
        return Problem(self.file, row.line + before, place + 1, code, message, hint, shown)

    def _problem(self, column: str, code: str, message: str, hint: str = "") -> Problem:
        """The same of the row that is being read."""
        return self.problem(Row(0, self._begun, {}, self._text), column, code, message, hint)

    def _offset(self, text: str, column: str) -> int:
        if self.delimiter is None:
            return max(text.find(json.dumps(column, ensure_ascii=False)), 0)
        if column not in self._columns:
            return 0
        number, quoted, start = self._columns.index(column), False, 0
        for at, character in enumerate(text):
            if number == 0:
                break
            if character == '"':
                quoted = not quoted
            elif character == self.delimiter and not quoted:
                number, start = number - 1, at + 1
        return start

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        """The file's lines, their ends as line feeds: what git does to the ends of lines must not change a request."""
        while data := file.readline(LONGEST_ROW + 1):
            self._hash.update(data)
            self._line += 1
            self._size += len(data)
            if self._size > LONGEST_ROW:
                self._text = []
                hint = "a quote that is never closed makes one row of the rest of a file" if self.delimiter else ""
                raise _Stop(self._problem("", "source/size", "this row is longer than a megabyte", hint))
            if self._line == 1:
                data = data.removeprefix(_BOM)
            try:
                line = data.decode()
            except UnicodeDecodeError as error:
                self._text.append(data.decode("utf-8", "replace"))
                column = len(data[: error.start].decode("utf-8", "replace")) + 1
                shown = self._text[-1].rstrip("\r\n")[:LONGEST_SOURCE] if column <= LONGEST_SOURCE else ""
                hint = "save the file as UTF-8 (in a spreadsheet: “CSV UTF-8”)"
                raise _Stop(
                    Problem(self.file, self._line, column, "source/encoding", "this is not UTF-8", hint, shown)
                ) from None
            if line.endswith("\r\n"):
                line = f"{line[:-2]}\n"
            self._text.append(line)
            yield line

    def _next_row(self) -> None:
        self._begun = self._line + 1
        self._size = 0
        self._text = []

    # -- CSV ----------------------------------------------------------------------------------------------------------

    def _csv_rows(self, lines: Iterator[str]) -> Iterator[Row | Problem]:
        assert self.delimiter is not None
        csv.field_size_limit(LONGEST_CELL)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        header = self._cells(reader)
        if header is None:
            yield Problem(self.file, 0, 0, "source/empty", "the file is empty", "its first line names the columns")
            return
        self._header(header)
        width, number = len(header), 0
        while True:
            self._next_row()
            cells = self._cells(reader)
            if cells is None:
                return
            if not cells:
                continue  # a blank line
            number += 1
            if len(cells) == width:
                yield Row(number, self._begun, dict(zip(header, cells, strict=True)), self._text)
                continue
            held = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
            message = f"row {number:,} has {held}, and the header names {width} columns"
            hint = "quote text that holds a comma or a line break" if self.delimiter == "," else "quote its text"
            yield self._problem("", "source/row", message, hint)

    def _cells(self, reader: Any) -> list[str] | None:
        try:
            found: list[str] | None = next(reader, None)
        except csv.Error as error:
            words, hint = str(error), "text in quotes ends with one, and a quote inside it is written twice"
            if "field larger" in words:
                words, hint = f"a cell is longer than {LONGEST_CELL:,} characters", "is a quote not closed?"
            raise _Stop(self._problem("", "source/csv", f"this is no CSV: {words}", hint)) from None
        return found

    def _header(self, names: list[str]) -> None:
        self._columns = [*names]
        if len(names) == 1:
            for other, written in _OTHER_DELIMITERS.items():
                if other in names[0] and other != self.delimiter:
                    message = f"the header is one column: {names[0][:80]!r}"
                    raise _Stop(self._problem("", "source/header", message, f"say delimiter: {written} beside csv"))
        for index, name in enumerate(names):
            if not name.strip():
                self._columns = [*("" for _ in range(index)), "?"]  # so that the place is this one's
                message = f"column {index + 1} of the header has no name"
                raise _Stop(self._problem("?", "source/header", message, "name it, or remove the column"))
            if names.index(name) != index:
                self._columns = [*("" for _ in range(index)), "?"]
                message = f"the header names {name} twice"
                raise _Stop(self._problem("?", "source/header", message, "every column has a name of its own"))

    # -- JSON Lines ---------------------------------------------------------------------------------------------------

    def _json_rows(self, lines: Iterator[str]) -> Iterator[Row | Problem]:
        number = 0
        for line in lines:
            if line.strip():
                number += 1
                try:
                    yield Row(number, self._begun, _object(line), self._text)
                except Unusable as error:
                    yield self._problem("", error.code, f"row {number:,}: {error.message}", error.hint)
            self._next_row()


def _object(line: str) -> dict[str, Json]:
    try:
        found = json.loads(line, object_pairs_hook=_members, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise Unusable("source/json", f"this is no JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise Unusable("source/json", f"it is nested deeper than {DEEPEST} levels") from None
    except ValueError:
        raise Unusable("source/json", "a number has more digits than JSON carries exactly") from None
    if not isinstance(found, dict):
        hint = 'each line is one object: {"shot": "river", "text": "A river at dawn"}'
        raise Unusable("source/json", "this line is no object", hint)
    _check(found, DEEPEST)
    return found


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unusable("source/json", f"the name {twice} is here twice", "every name of an object once")
    return members


def _no_number(word: str) -> Json:
    raise Unusable("source/json", f"{word} is no number of JSON")


def _check(value: Json, levels: int) -> None:
    """What JSON can write and a request cannot hold."""
    if levels < 0:
        raise Unusable("source/json", f"it is nested deeper than {DEEPEST} levels")
    match value:
        case str() if len(value) > LONGEST_CELL:
            raise Unusable("source/json", f"a text is longer than {LONGEST_CELL:,} characters")
        case dict():
            for item in value.values():
                _check(item, levels - 1)
        case list():
            for item in value:
                _check(item, levels - 1)
        case _:
            pass


# -- files ------------------------------------------------------------------------------------------------------------


def locate(manifest: Path, named: str) -> Path:
    """The file that `named` means, relative to the manifest that names it.

    Raises:
        Unusable: it is no regular file, or lies outside the project.
    """
    if Path(named).is_absolute():
        raise Unusable("source/outside", f"{named} is an absolute path", "name it relative to the manifest")
    try:
        path = Path(os.path.realpath(manifest.absolute().parent / named))
        root = _project(manifest)
        if not path.is_relative_to(root):
            hint = "copy it into the project: what a manifest wants is versioned with it"
            raise Unusable("source/outside", f"{named} lies outside the project", hint)
        _check_regular(path.stat().st_mode, named)
    except FileNotFoundError:
        raise Unusable(
            "source/unreadable", f"there is no file {named}", "it is looked for beside the manifest"
        ) from None
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or error
        raise Unusable("source/unreadable", f"{named} cannot be read: {words}") from None
    return path


def _project(manifest: Path) -> Path:
    """The folder of the repository or of `seedbatch.toml`, else the working directory, else the manifest's own."""
    folder = Path(os.path.realpath(manifest.absolute().parent))
    for above in (folder, *folder.parents):
        if (above / ".git").exists() or (above / "seedbatch.toml").exists():
            return above
    here = Path(os.path.realpath(Path.cwd()))
    return here if folder.is_relative_to(here) else folder


def _check_regular(mode: int, named: str) -> None:
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise Unusable("source/unreadable", f"{named} is {what}")


def _opened(path: Path) -> BinaryIO:
    # What took its place meanwhile may be a pipe, which would block for ever.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=1 << 20)
    try:
        _check_regular(os.fstat(file.fileno()).st_mode, path.name)
    except BaseException:
        file.close()
        raise
    return file
