from __future__ import annotations

import re
from pathlib import Path

import pytest

from seedbatch.sandbox import FaultPlan, faults
from seedbatch.sandbox.faults import FAULTS, Fault, FaultCounter


def read(tmp_path: Path, text: str) -> FaultPlan:
    file = tmp_path / "faults.yaml"
    file.write_text(text)
    return FaultPlan.from_yaml(file)


def test_a_plan_is_read_with_a_bare_on(tmp_path: Path) -> None:
    plan = read(tmp_path, "seed: 7\nbalance: 500\nhide_for: 2.5\nrules:\n  - {on: submit, do: {delay: 3}, at: [2]}\n")
    assert (plan.seed, plan.balance, plan.hide_for) == (7, 500, 2.5)
    counter = FaultCounter(plan)
    assert [counter.next("submit"), counter.next("query"), counter.next("submit")] == [None, None, Fault("delay", 3.0)]


@pytest.mark.parametrize("text", ["", "rules: []\n", "seed: 1\n"])
def test_a_plan_may_ask_for_nothing(tmp_path: Path, text: str) -> None:
    assert FaultCounter(read(tmp_path, text)).next("submit") is None


def test_the_seed_decides_every_chance(tmp_path: Path) -> None:
    def drawn(seed: int) -> list[bool]:
        counter = FaultCounter(read(tmp_path, f"seed: {seed}\nrules: [{{on: file, do: 403, chance: 0.5}}]\n"))
        return [counter.next("file") is not None for _ in range(64)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 10 < sum(drawn(1)) < 54


def test_a_rule_before_it_does_not_shift_the_chance_of_another(tmp_path: Path) -> None:
    late = "{on: submit, do: 500, chance: 0.5}"
    alone = FaultCounter(read(tmp_path, f"rules: [{{on: file, do: 403}}, {late}]\n"))
    beside = FaultCounter(read(tmp_path, f"rules: [{{on: submit, do: 429, at: [1]}}, {late}]\n"))
    assert [alone.next("submit") for _ in range(40)][1:] == [beside.next("submit") for _ in range(40)][1:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "a fault plan is a mapping with the key rules"),
        ("rule: []", "rule: unknown key; known are balance, hide_for, rules, seed"),
        ("rules: {}", "rules: must be a list"),
        ("rules: [submit]", r"rules\[0\]: must be a mapping with on and do"),
        (
            "rules: [{on: submit, do: 500}, {on: sumbit, do: 500}]",
            r"rules\[1\].on: must be one of submit, query, file, callback, not",
        ),
        ("rules: [{do: 500}]", r"rules\[0\].on: must be one of submit, query, file, callback, not None"),
        ("rules: [{on: callback, do: cut}]", r"rules\[0\].do: must be one of delay, drop, .*, not 'cut'"),
        ("rules: [{on: callback, do: delay}]", r"rules\[0\].do: delay takes seconds, as in {delay: 3}"),
        ("rules: [{on: submit}]", r"rules\[0\].do: must be one of 401, 429, .*, not None"),
        ("rules: [{on: file, do: cut-after-accept}]", r"rules\[0\].do: must be one of 403, .*, not 'cut-after-accept'"),
        ("rules: [{on: submit, do: delay}]", r"rules\[0\].do: delay takes seconds, as in {delay: 3}"),
        ("rules: [{on: submit, do: {delay: soon}}]", r"rules\[0\].do: must be a number of seconds, not 'soon'"),
        ("rules: [{on: submit, do: {delay: -1}}]", r"rules\[0\].do: must be a number of seconds, not -1"),
        ("rules: [{on: submit, do: {500: 3}}]", r"rules\[0\].do: 500 takes no value"),
        ("rules: [{on: submit, do: {delay: 1, 500: 1}}]", r"rules\[0\].do: names exactly one fault"),
        ("rules: [{on: submit, do: 500, evry: 2}]", r"rules\[0\].evry: unknown key; known are at, chance, do, every"),
        ("rules: [{on: submit, do: 500, every: 0}]", r"rules\[0\].every: must be a whole number of at least 1, not 0"),
        ("rules: [{on: submit, do: 500, first: 1.5}]", r"rules\[0\].first: must be a whole number of at least 1"),
        ("rules: [{on: submit, do: 500, at: 3}]", r"rules\[0\].at: must be a list of ordinals, counted from 1"),
        ("rules: [{on: submit, do: 500, at: [0]}]", r"rules\[0\].at: must be a whole number of at least 1, not 0"),
        ("rules: [{on: submit, do: 500, chance: 2}]", r"rules\[0\].chance: must be a number from 0 to 1, not 2"),
        ("rules: [{on: submit, do: 500, every: 2, first: 1}]", r"rules\[0\]: every and first exclude one another"),
        ("balance: much", "balance: must be a whole number of at least 0, not 'much'"),
        ("seed: true", "seed: must be a whole number, not True"),
        ("hide_for: .inf", "hide_for: must be a number of seconds, not inf"),
        ("rules: [", "not YAML: "),
        ("a: \x00", "not YAML: "),
    ],
)
def test_a_bad_plan_is_refused_by_the_name_of_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        read(tmp_path, text)


def test_a_missing_plan_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FaultPlan.from_yaml(tmp_path / "absent.yaml")


def test_every_fault_is_documented_where_it_may_be_used() -> None:
    told: dict[str, set[str]] = {on: set() for on in FAULTS}
    for line in (faults.__doc__ or "").splitlines():
        if line.startswith("| `"):
            names, places = line.split("|")[1:3]
            for on in places.split(","):
                told[on.strip()] |= {name.partition(":")[0] for name in re.findall(r"`([^`]+)`", names)}
    assert told == {on: set(known) for on, known in FAULTS.items()}


def test_the_page_says_the_same_about_faults() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
    assert (faults.__doc__ or "").partition("\n\nRequests of each kind")[2].strip() in page
