"""Manifests that nobody means: each is a batch or problems, soon, in little memory, and twice the same.

A number decides a manifest. Half of them grow from a grammar that knows what a manifest may hold and often errs, half
are examples whose bytes were damaged. Run by itself (`python -m proof.fuzz FIRST COUNT FOLDER`) it tells what it found.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seedbatch.domain.errors import UsageError
from seedbatch.manifest import load

ROOT = Path(__file__).parents[2]
CORPUS = sorted([*ROOT.glob("manifests/*.yaml"), *ROOT.glob("tests/manifests/invalid/*.yaml")])
SECONDS = 2.0
MEGABYTES = 300
_LONGEST = 4_000  # bytes of an example that is damaged: a large one only takes time

_WORDS = (
    "river",
    "a b",
    "",
    "16:9",
    "{{ x }}",
    "{{ style }}",
    "{{ shot }}",
    "{{ x",
    "{% for x in y %}",
    "é\u202e",
    "no",
    "~",
    "a/b",
    "#2",
)
_VALUES: tuple[Any, ...] = (None, True, 0, 1, 5, -1, 2.5, 1e300, 10**20, [], {}, [1, "a"], {"a": 1}, {"a": {"b": []}})
_MODELS = ("seedance-2.0", "seedance-2.0-fast", "seedance-1.5-pro", "veo3", "gpt-image-2/text-to-image", "nothing")
_INPUTS = ("prompt", "ratio", "resolution", "duration", "fallback", "mediaUrls", "imageUrls", "n", "mode", "promt")
_LINKS = ("https://x.example/a.png", "https://x.example/b.mp4", "ftp://x", "{{ x }}")
_SNIPPETS = (
    b"&a ",
    b"*a",
    b"<<: ",
    b"- ",
    b": ",
    b"\n",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b"'",
    b'"',
    b"{{",
    b"}}",
    b"|\n",
    b"#",
    b"\xff",
    b"\0",
    b"!!int ",
)


class Grower:
    """One manifest from a grammar; `dice` decides everything. Half of them hold no mistake that it knows of."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._slips = dice.choice([0.0, 0.0, 0.02, 0.1, 0.5])
        self._keys = iter(range(10**6))

    def manifest(self) -> dict[str, Any]:
        parts: dict[str, tuple[float, Callable[[], Any]]] = {
            "version": (1, lambda: self._one([1], [2, "1"])),
            "batch": (1, lambda: self._one(["b", "batch-1"], _WORDS)),
            "defaults": (1, self._defaults),
            "vars": (0.9, lambda: {"style": "35 mm", "x": self._any(), self._one(["y"], ["batch", "1a"]): "x"}),
            "matrix": (0.2, self._matrix),
            "jobs": (0.9, lambda: [self._entry() for _ in range(self._dice.randint(self._slips == 0, 5))]),
            "sources": (0.3, lambda: [self._source() for _ in range(1 if self._slips == 0 else 2)]),
            "budget": (0.2, lambda: self._some({"max_jobs": 3}, {"max_cost": "1.5", "currency": "usd", "max": 1})),
            "limits": (0.2, lambda: self._some({"submitting": 2, "submits_per_minute": 0.5}, {"in_flight": 0})),
            "retry": (0.2, lambda: self._some({"attempts": 2}, {"tries": 2})),
            "output": (0.2, lambda: self._one(["{{ batch }}/{{ key }}", "{{ key }}"], ["../x", "/etc", "x"])),
            "outptu": (self._slips / 5, self._any),
        }
        return {
            name: self._any() if self._slip(0.3) else made()
            for name, (chance, made) in parts.items()
            if self._dice.random() < chance and not self._slip(0.2)
        }

    def _defaults(self) -> dict[str, Any]:
        return {
            "model": "seedance-2.0",
            **self._some({"tags": ["a"], "takes": 2}, {"inptu": 1}),
            "input": self._input(1),
        }

    def _entry(self) -> dict[str, Any]:
        own = f"k{next(self._keys)}"
        return {
            "key": self._one([own, f"{own}-{{{{ x }}}}"], _WORDS) if self._slips else own,
            "prompt": self._one(["A river", "{{ style }} river"], ["@1 and @4", *_WORDS]),
            **self._some(
                {
                    "model": self._one(_MODELS[:2], _MODELS),
                    "input": self._input(0.2),
                    "tags": [self._one(["hero", "{{ style }}"], _WORDS)],
                    "takes": self._one([1, 3], [0, -1, 1001, "2"]),
                    "matrix": self._matrix(),
                },
                {"output": self._one(["x/{{ take }}"], _WORDS), "tag": "a"},
            ),
        }

    def _source(self) -> dict[str, Any]:
        kind = self._one(["csv", "jsonl"])
        file = self._one([f"rows.{kind}"], ["rows.csv", "none.csv", "../rows.csv", "/dev/zero", ".", ""])
        key = self._one(["{{ shot }}", "{{ row.shot }}-{{ x }}"] if self._slips else ["{{ shot }}"], ["a", "{{ q }}"])
        return {kind: file, **self._entry(), "key": key}

    def _input(self, chance: float) -> dict[str, Any]:
        links = [self._one(_LINKS[:2], _LINKS) for _ in range(self._one([1, 2, 3], [0, 13]))]
        values = {
            "ratio": self._one(["16:9", "9:16"], [969, "{{ ratio }}", "{{ x }}"]),
            "resolution": self._one(["480p", "720p"], ["4k", 480]),
            "duration": self._one([4, 5, 5.0], [16, "5", "{{ seconds }}"]),
        }
        given = {name: value for name, value in values.items() if self._dice.random() < chance and not self._slip(0.5)}
        media = {"mediaUrls": links} if self._dice.random() < 0.2 else {}
        return {**given, **media, **{name: self._any() for name in _INPUTS if self._slip(0.2)}}

    def _matrix(self) -> dict[str, Any]:
        values = self._one([["a", "b"], [1, 2, 3]], [[1, 1], [], list(range(300))])
        extra = {"y": list(range(40)), "include": [{"z": 1}], "exclude": [{"ratio": "16:9"}, {"q": 1}]}
        return {self._one(["season", "ratio"], ["include", "1a"]): values, **self._some({}, extra)}

    def _one(self, good: Sequence[Any], bad: Sequence[Any] = ()) -> Any:
        return self._dice.choice(bad if bad and self._slip(1) else good)

    def _slip(self, share: float) -> bool:
        return self._dice.random() < self._slips * share

    def _any(self) -> Any:
        return self._dice.choice([*_VALUES, *_WORDS] if self._slips else ["text", 1, True])

    def _some(self, good: dict[str, Any], bad: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in good.items() if self._dice.random() < 0.3}
        return {**kept, **{name: value for name, value in bad.items() if self._slip(0.4)}}


def grown(dice: random.Random) -> bytes:
    """A manifest by the grammar, in one of YAML's hands, at times with a slip of the pen."""
    text = json.dumps(Grower(dice).manifest(), indent=dice.choice([None, 2]), ensure_ascii=dice.random() < 0.5)
    data = text.encode("utf-8", "surrogatepass")
    return damaged(dice, data, 1) if dice.random() < 0.1 else data


def damaged(dice: random.Random, data: bytes, most: int = 8) -> bytes:
    """`data` with some bytes changed, cut out, said twice, or put in."""
    for _ in range(dice.randint(1, most)):
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + int(200 ** dice.random()))
        match dice.randrange(5):
            case 0:
                data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[end:]
            case 2:
                data = data[:end] + data[at:end] * dice.choice([1, 1, 2, 50]) + data[end:]
            case 3:
                data = data[:at] + dice.choice(_SNIPPETS) * dice.choice([1, 1, 1, 70]) + data[at:]
            case _:
                other = dice.choice(CORPUS).read_bytes()[:_LONGEST]
                begin = dice.randrange(len(other) + 1)
                data = data[:at] + other[begin : begin + 100] + data[at:]
    return data


def rows(dice: random.Random) -> tuple[bytes, bytes]:
    """A CSV file and one of JSON Lines."""
    count = dice.randint(1, 6)
    table = [
        ["shot", "text", "seconds", "x"],
        *([f"s{n}", dice.choice(["A river", *_WORDS[:1], "x"]), str(n), "1"] for n in range(count)),
    ]
    csv = "\n".join(",".join(cells) for cells in table).encode()
    lines = "\n".join(json.dumps({"shot": f"s{n}", "text": "x", "seconds": n}) for n in range(count)).encode()
    if dice.random() < 0.2:
        csv, lines = damaged(dice, csv, 2), damaged(dice, lines, 2)
    return csv, lines


def write(number: int, folder: Path) -> Path:
    """The manifest with this number, and the files of rows beside it."""
    dice = random.Random(number)
    data = damaged(dice, dice.choice(CORPUS).read_bytes()[:_LONGEST]) if number % 2 else grown(dice)
    path = folder / "m.yaml"
    path.write_bytes(data)
    csv, lines = rows(dice)
    (folder / "rows.csv").write_bytes(csv)
    (folder / "rows.jsonl").write_bytes(lines)
    return path


def told(path: Path) -> str:
    """Everything that loading says of a manifest."""
    try:
        loaded = load([path])
    except UsageError as error:
        return f"usage: {error.message}"
    batches = [replace(batch, jobs=tuple(batch.jobs)) for batch in loaded.batches]
    return repr([batches, loaded.problems, loaded.warnings])


def look(first: int, count: int, folder: Path) -> Iterator[str]:
    """What is wrong with these manifests, a line each; the last line is a digest of all that was said."""
    digest = hashlib.sha256()
    valid = 0
    for number in range(first, first + count):
        path = write(number, folder)
        begun = time.process_time()
        try:
            said = told(path)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            yield f"{number}: {type(error).__name__}: {error}"
            continue
        if (took := time.process_time() - begun) > SECONDS:
            yield f"{number}: {took:.1f} s"
        if number % 10 == 0 and told(path) != said:
            yield f"{number}: not twice the same"
        valid += said.startswith("[[B")
        digest.update(said.encode("utf-8", "surrogatepass"))
    if (most := _most_memory()) > MEGABYTES:
        yield f"{most:.0f} MB"
    yield f"{valid} valid, {digest.hexdigest()}"


def _most_memory() -> float:
    """Megabytes that this process ever held. What `getrusage` tells begins with the memory of who started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    for line in look(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])):
        print(line, flush=True)
