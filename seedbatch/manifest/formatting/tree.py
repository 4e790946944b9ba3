"""A manifest as it is written: nodes with their source, and every comment beside what it speaks of.

PyYAML's events leave comments out. Its tokens do too, but they say where each token begins and ends, and between two
tokens there is nothing but white space and comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from seedbatch.manifest.builder import LOADER

_CORE: Final = "tag:yaml.org,2002:"
# A comment ends where YAML takes a line to end.
_COMMENT: Final = re.compile("#[^\n\u2028\u2029]*")
_BREAKS: Final = re.compile("\r\n|[\r\x85]")
_HEADER: Final = re.compile(r"[|>][-+0-9]*[ \t]*(#.*)?")
_SKIPPED: Final = (
    yaml.StreamStartToken, yaml.DirectiveToken, yaml.DocumentStartToken, yaml.DocumentEndToken
)  # fmt: skip


@dataclass(slots=True)
class Comment:
    """One comment. `column` is 0-based; `own_line`: nothing stands before it; `blank`: an empty line does."""

    text: str
    column: int
    own_line: bool
    blank: bool = False


@dataclass(slots=True)
class Scalar:
    """A scalar: its text, and how it is written. `style` is the quote, `|`, `>`, or nothing for a plain one."""

    text: str = ""
    style: str = ""
    source: str = ""
    anchor: str = ""
    tag: str = ""


@dataclass(slots=True)
class Alias:
    """Another use of what an anchor names."""

    name: str


@dataclass(slots=True)
class Entry:
    """A key and its value, or (`key` is None) an item. `comments` stand on its line, `leading` above it."""

    key: Scalar | None
    value: Node
    leading: list[Comment]
    blank: bool
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Collection:
    """A mapping or a list; `trailing` are the comments behind its last entry."""

    is_mapping: bool
    is_flow: bool
    entries: list[Entry] = field(default_factory=list)
    trailing: list[Comment] = field(default_factory=list)
    anchor: str = ""
    tag: str = ""


Node = Scalar | Alias | Collection


@dataclass(slots=True)
class Tree:
    """The one document of a file. `footer` are comments behind it; `comments` the texts of all."""

    root: Node
    footer: list[Comment]
    comments: list[str]


def parsed(text: str) -> Tree:
    """The tree of a text that the builder has accepted."""
    return _Parser(_BREAKS.sub("\n", text)).tree()


@dataclass(slots=True)
class _Lexeme:
    """A token, and the comments between the one before and it."""

    token: Any
    comments: list[Comment]
    blank: bool


def _lexemes(text: str) -> Iterator[_Lexeme]:
    comments: list[Comment] = []
    end = 0  # of what came last
    for token in yaml.scan(text, Loader=LOADER):
        start = token.start_mark.index
        end, found = _comments(text, end, start)
        comments += found
        blank = _is_blank(text, end, start)
        if token.end_mark.index > start:
            end = token.end_mark.index
        if isinstance(token, yaml.ScalarToken) and token.style in {"|", ">"}:
            # It takes the empty lines behind it along.
            end = start + len(text[start:end].rstrip())
            header = _HEADER.match(text, start)
            if header is not None and header.group(1):
                comments.append(Comment(header.group(1).rstrip(), 0, own_line=False))
        if not isinstance(token, _SKIPPED):
            yield _Lexeme(token, comments, blank)
            comments = []


def _comments(text: str, start: int, end: int) -> tuple[int, list[Comment]]:
    """The comments of a gap, and where the last of them ends."""
    found: list[Comment] = []
    last = start
    if text.find("#", start, end) < 0:
        return start, found
    for match in _COMMENT.finditer(text, start, end):
        begun = text.rfind("\n", 0, match.start()) + 1
        own_line = not text[begun : match.start()].strip(" \t\ufeff")
        blank = _is_blank(text, last, match.start())
        found.append(Comment(match.group().rstrip(), match.start() - begun, own_line, blank))
        last = match.end()
    return last, found


def _is_blank(text: str, end: int, start: int) -> bool:
    return end > 0 and text.count("\n", end, start) > 1


def comments_of(text: str) -> list[str]:
    """The texts of all comments."""
    return [comment.text for lexeme in _lexemes(_BREAKS.sub("\n", text)) for comment in lexeme.comments]


class _Parser:
    """The grammar of PyYAML's parser, over tokens; the text is known to be sound."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lexemes = list(_lexemes(text))
        self._at = 0
        self._pending: list[Comment] = []
        self._comments = [comment.text for lexeme in self._lexemes for comment in lexeme.comments]

    def tree(self) -> Tree:
        root = self._node()
        self._peek()
        return Tree(root, self._all_pending(), self._comments)

    # -- tokens and comments -------------------------------------------------------------------------------------------

    def _peek(self) -> Any:
        lexeme = self._lexemes[self._at]
        self._pending += lexeme.comments
        lexeme.comments = []
        return lexeme.token

    def _is_next(self, *kinds: type) -> bool:
        return isinstance(self._peek(), kinds)

    def _advance(self) -> Any:
        token = self._peek()
        self._at += 1
        return token

    def _all_pending(self) -> list[Comment]:
        taken, self._pending = self._pending, []
        return taken

    def _on_this_line(self) -> list[str]:
        """The comment behind what was just read."""
        self._peek()
        if self._pending and not self._pending[0].own_line:
            return [self._pending.pop(0).text]
        return []

    def _deeper(self, column: int) -> list[Comment]:
        """Pending comments up to the last that stands at `column` or to the right of it."""
        deep = [number for number, one in enumerate(self._pending, 1) if one.column >= column or not one.own_line]
        count = max(deep, default=0)
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _node(self, *, may_be_indentless: bool = False) -> Node:
        anchor = tag = ""
        while self._is_next(yaml.AnchorToken, yaml.TagToken):
            token = self._advance()
            if isinstance(token, yaml.AnchorToken):
                anchor = token.value
            else:
                tag = self._tag(token)
        node = self._content(may_be_indentless)
        if not isinstance(node, Alias):
            node.anchor, node.tag = anchor, tag
        return node

    def _tag(self, token: Any) -> str:
        """The tag in its short form; the builder takes none but `!` and those of the core."""
        handle, suffix = token.value
        return f"{handle or ''}{suffix}".replace(_CORE, "!!")

    def _content(self, may_be_indentless: bool) -> Node:  # noqa: FBT001
        match self._peek():
            case yaml.AliasToken() as token:
                self._advance()
                return Alias(token.value)
            case yaml.ScalarToken() as token:
                self._advance()
                source = self._text[token.start_mark.index : token.end_mark.index]
                return Scalar(token.value, "" if token.plain else token.style, source)
            case yaml.BlockMappingStartToken() as token:
                return self._block_mapping(token.start_mark.column)
            case yaml.BlockSequenceStartToken() as token:
                self._advance()
                return self._block_list(token.start_mark.column, is_indentless=False)
            case yaml.BlockEntryToken() as token if may_be_indentless:
                return self._block_list(token.start_mark.column, is_indentless=True)
            case yaml.FlowSequenceStartToken() | yaml.FlowMappingStartToken():
                return self._flow()
            case _:
                return Scalar()

    def _block_mapping(self, column: int) -> Collection:
        self._advance()
        found = Collection(is_mapping=True, is_flow=False)
        while not self._is_next(yaml.BlockEndToken):
            found.entries.append(self._pair())
        found.trailing = self._deeper(column)
        self._advance()
        return found

    def _pair(self) -> Entry:
        blank = self._lexemes[self._at].blank
        entry = Entry(Scalar(), Scalar(), self._all_pending(), blank)
        if self._is_next(yaml.KeyToken):
            self._advance()
            key = self._node()
            assert isinstance(key, Scalar)
            entry.key = key
        if self._is_next(yaml.ValueToken):
            self._advance()
            self._value(entry, may_be_indentless=True)
        return entry

    def _value(self, entry: Entry, *, may_be_indentless: bool = False) -> None:
        """What stands behind a colon or a hyphen, and the comments around it."""
        entry.comments += self._on_this_line()
        begins = self._begins_block(may_be_indentless=may_be_indentless)
        if isinstance(self._peek(), yaml.KeyToken | yaml.BlockEndToken):
            return  # no value: comments below belong to what follows
        if isinstance(self._peek(), yaml.BlockEntryToken) and not may_be_indentless:
            return
        if not begins:
            entry.leading += self._all_pending()
        entry.value = self._node(may_be_indentless=may_be_indentless)
        if not begins:
            # Between an anchor and its value, and in the header of a block scalar.
            entry.comments += self._on_this_line()

    def _begins_block(self, *, may_be_indentless: bool) -> bool:
        """Whether a block mapping or list comes next, behind anchor and tag."""
        at = self._at
        while isinstance(self._lexemes[at].token, yaml.AnchorToken | yaml.TagToken):
            at += 1
        token = self._lexemes[at].token
        if isinstance(token, yaml.BlockEntryToken):
            return may_be_indentless
        return isinstance(token, yaml.BlockMappingStartToken | yaml.BlockSequenceStartToken)

    def _block_list(self, column: int, *, is_indentless: bool) -> Collection:
        found = Collection(is_mapping=False, is_flow=False)
        while self._is_next(yaml.BlockEntryToken):
            blank = self._lexemes[self._at].blank
            entry = Entry(None, Scalar(), self._all_pending(), blank)
            self._advance()
            self._value(entry)
            found.entries.append(entry)
        found.trailing = self._deeper(column + is_indentless)
        if not is_indentless:
            self._advance()
        return found

    # -- flow ----------------------------------------------------------------------------------------------------------

    def _flow(self) -> Collection:
        found = Collection(isinstance(self._advance(), yaml.FlowMappingStartToken), is_flow=True)
        while not self._is_next(yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken):
            if self._is_next(yaml.FlowEntryToken):
                self._advance()
                if found.entries:
                    found.entries[-1].comments += self._on_this_line()
                continue
            found.entries.append(self._flow_entry(found.is_mapping))
        found.trailing = self._all_pending()
        self._advance()
        return found

    def _flow_entry(self, in_mapping: bool) -> Entry:  # noqa: FBT001
        entry = Entry(None, Scalar(), self._all_pending(), blank=False)
        key: Node | None = None
        if self._is_next(yaml.KeyToken):
            self._advance()
            key = self._node()
        if self._is_next(yaml.ValueToken):
            self._advance()
            key = key or Scalar()
            entry.value = self._flow_value()
        elif key is None:
            entry.value = self._node()
        if in_mapping:
            key, entry.value = (entry.value, Scalar()) if key is None else (key, entry.value)
            assert isinstance(key, Scalar)
            entry.key = key
        elif key is not None:
            assert isinstance(key, Scalar)
            pair = Entry(key, entry.value, [], blank=False)
            entry.value = Collection(is_mapping=True, is_flow=True, entries=[pair])
        entry.comments += self._on_this_line()
        return entry

    def _flow_value(self) -> Node:
        ends = (yaml.FlowEntryToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
        return Scalar() if self._is_next(*ends) else self._node()
