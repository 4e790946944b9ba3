"""From a tree to text: two spaces a level, the keys of manifest and jobs in their order, one line where it fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from seedbatch.manifest.formatting.scalars import one_line, properties, quoted, written
from seedbatch.manifest.formatting.tree import Alias, Collection, Comment, Entry, Node, Scalar, Tree

# A list or mapping in brackets that is longer is written with a line for each entry.
WIDEST: Final = 120
_TOP: Final = (
    *("version", "batch", "defaults", "vars", "matrix", "takes", "jobs", "sources", "moved"),
    *("budget", "limits", "retry", "output"),
)
_JOB: Final = (
    *("csv", "jsonl", "delimiter"),
    *("key", "prompt", "model", "input", "tags", "takes", "matrix", "output"),
)
# What stands below a key of the manifest, as far as it has an order of its own.
_BELOW: Final = {"jobs": "jobs", "sources": "jobs", "defaults": "job"}
_ORDERS: Final = {"manifest": _TOP, "job": _JOB}

Lines = list[str]


def layout(tree: Tree, *, is_sorted: bool) -> str:
    """The canonical text of a tree whose root is a collection; unless `is_sorted`, keys stay where they are."""
    root = tree.root
    assert isinstance(root, Collection)
    writer = _Writer(is_sorted)
    lines: Lines = []
    header, root, is_apart = _without_header(root)
    writer.comments(lines, header, 0)
    above, body = writer.block(root, 0, "manifest")
    _separate(lines, is_apart)
    writer.comments(lines, above, 0)
    lines += body
    writer.comments(lines, tree.footer, 0)
    return "\n".join(lines) + "\n"


def _without_header(root: Collection) -> tuple[list[Comment], Collection, bool]:
    """The comments that open the file, which stay there whatever key comes first; the rest; whether it is set apart."""
    if not root.entries or not root.entries[0].leading:
        return [], root, False
    first = root.entries[0]
    cuts = [number for number, one in enumerate(first.leading) if one.blank]
    cut = len(first.leading) if first.blank or not cuts else cuts[-1]
    rest = Entry(first.key, first.value, first.leading[cut:], first.blank, first.comments)
    is_apart = first.blank or cut < len(first.leading)
    return (
        first.leading[:cut],
        Collection(root.is_mapping, root.is_flow, [rest, *root.entries[1:]], root.trailing),
        is_apart,
    )


class _Writer:
    def __init__(self, is_sorted: bool) -> None:  # noqa: FBT001
        self._is_sorted = is_sorted

    def comments(self, lines: Lines, comments: Iterable[Comment], indent: int) -> None:
        """Add comments, each on a line of its own."""
        for one in comments:
            _separate(lines, one.blank)
            lines.append(" " * indent + one.text)

    def block(self, node: Collection, indent: int, role: str) -> tuple[list[Comment], Lines]:
        """The lines of a collection, an entry a line or more, and the comments that stand above the first."""
        lines: Lines = []
        above: list[Comment] = []
        was_long = False
        for number, entry in enumerate(self._ordered(node, role)):
            leading, own = self._entry(entry, indent, role)
            is_long = len(own) > 1 or bool(leading)
            if number == 0:
                above = leading
            else:
                apart = role == "manifest" and (is_long or was_long)
                _separate(lines, apart or (leading[0].blank if leading else entry.blank))
                self.comments(lines, leading, indent)
                _separate(lines, bool(leading) and entry.blank)
            lines += own
            was_long = is_long
        self.comments(lines, node.trailing, indent)
        return above, lines

    def _ordered(self, node: Collection, role: str) -> Sequence[Entry]:
        order = _ORDERS.get(role) if self._is_sorted and node.is_mapping else None
        if order is None:
            return node.entries
        places = {name: number for number, name in enumerate(order)}
        return sorted(node.entries, key=lambda entry: places.get(entry.key.text if entry.key else "", len(order)))

    def _entry(self, entry: Entry, indent: int, role: str) -> tuple[list[Comment], Lines]:
        """The comments above an entry, and its lines."""
        head = " " * indent + (f"{_key(entry.key)}:" if entry.key else "-")
        below = self._role_below(entry, role)
        leading = [*entry.leading, *_as_leading(entry.comments[:-1])]
        comment = entry.comments[-1:]
        value = entry.value
        if isinstance(value, Collection):
            room = WIDEST - len(head) - 1
            text = self._in_brackets(value, below)
            if text is None or (len(text) > room and value.entries):
                return self._below(entry, head, indent, below, leading, comment)
            leading += [*value.trailing] if not value.entries else []
            lines = [text]
        else:
            lines = written(value) if isinstance(value, Scalar) else [f"*{value.name}"]
        is_block = isinstance(value, Scalar) and value.style in {"|", ">"}
        lines = [
            f"{head} {lines[0]}" if lines[0] else head,
            *(f"{' ' * (indent + 2)}{one}" if one else "" for one in lines[1:]),
        ]
        if comment:
            # A block scalar has room for it in its header only, other text behind its end.
            lines[0 if is_block else -1] += f"  {comment[0]}"
        return leading, lines

    def _below(
        self, entry: Entry, head: str, indent: int, role: str, leading: list[Comment], comment: list[str]
    ) -> tuple[list[Comment], Lines]:
        """An entry whose value takes lines of its own."""
        value = entry.value
        assert isinstance(value, Collection)
        above, lines = self.block(value, indent + 2, role)
        marks = properties(value.anchor, value.tag).rstrip()
        if entry.key is None and not marks:
            # The first entry stands on the hyphen's line, and what is said of it above that.
            leading = [*leading, *_as_leading(comment), *above]
            return leading, [f"{head} {lines[0].lstrip(' ')}", *lines[1:]]
        first = f"{head} {marks}".rstrip()
        found = [f"{first}  {comment[0]}" if comment else first]
        for one in above:
            one.blank = one.blank and one is not above[0]
        self.comments(found, above, indent + 2)
        return leading, [*found, *lines]

    def _role_below(self, entry: Entry, role: str) -> str:
        if role == "manifest" and entry.key is not None:
            return _BELOW.get(entry.key.text, "")
        return "job" if role == "jobs" else ""

    def _in_brackets(self, node: Node, role: str = "") -> str | None:
        """A value on one line, as it is written in brackets; None if it has comments, or text over several lines."""
        if isinstance(node, Alias):
            return f"*{node.name}"
        if isinstance(node, Scalar):
            return one_line(node, in_brackets=True)
        if not node.is_flow or (node.trailing and node.entries):
            return None
        parts = []
        for entry in self._ordered(node, role):
            value = self._in_brackets(entry.value, "job" if role == "jobs" else "")
            if value is None or entry.leading or entry.comments:
                return None
            parts.append(f"{_key(entry.key, in_brackets=True)}: {value}" if entry.key else value)
        inside = ", ".join(parts)
        return properties(node.anchor, node.tag) + (f"{{{inside}}}" if node.is_mapping else f"[{inside}]")


def _key(key: Scalar, *, in_brackets: bool = False) -> str:
    return one_line(key, in_brackets=in_brackets) or properties(key.anchor, "") + quoted(key.text)


def _as_leading(texts: Iterable[str]) -> list[Comment]:
    return [Comment(text, 0, own_line=True) for text in texts]


def _separate(lines: Lines, wanted: bool) -> None:  # noqa: FBT001
    """An empty line behind what is there, never two."""
    if wanted and lines and lines[-1]:
        lines.append("")
