"""`validate --format`: what GitHub, code scanners and scripts are told."""

from __future__ import annotations

import json
import os
import re

from seedbatch.cli import reports
from seedbatch.domain.errors import Problem
from seedbatch.manifest import Loaded

HEAD = "version: 1\nbatch: b\ndefaults: {model: seedance-2.0, input: {resolution: 480p, ratio: 16:9, duration: 5}}\n"
HOSTILE = "\x1b[2J\r\n::error::owned\u202egnp%0A::set-env name=PATH::/tmp\x00\x9b31m"
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def loaded(*problems, warnings=()):
    return Loaded((), problems, warnings)


def test_github_text_is_exact(project):
    project.write("m/a,b.yaml", HEAD + "jobs:\n  - {key: a, prompt: p, takse: 2}\n")
    project.write("w.yaml", HEAD + "jobs:\n  - {key: a, prompt: p, input: {fallback: true}}\n")
    done = project.run("validate", "--format", "github", "m/a,b.yaml", "./w.yaml", "none.yaml", code=2)
    unknown = 'there is no key "takse" here%0Adid you mean takes?'
    fallback = "fallback: with fallback a result may come from seedance-1.5-pro, and nothing in the answer says so"
    assert done.stdout.splitlines() == [
        f"::error file=m/a%2Cb.yaml,line=5,col=25,title=schema/unknown-key::{unknown}",
        "::error file=none.yaml,title=file/unreadable::there is no such file",
        f"::warning file=w.yaml,line=5,col=43,title=model/warning::{fallback}",
    ]
    assert done.stderr == ""


def test_github_is_told_nothing_where_nothing_is_wrong(project):
    name = project.write("m.yaml", HEAD + "jobs:\n  - {key: a, prompt: p}\n")
    assert project.run("validate", "--format", "github", name).stdout == ""


def test_hostile_text_cannot_break_out():
    problem = Problem(f"a{HOSTILE}b,c:d.yaml", 3, 4, "schema/enum", f"bad {HOSTILE}", f"hint {HOSTILE}", HOSTILE)
    (line,) = reports.github_text(loaded(problem)).split("\n")
    assert not HARMFUL.search(line)
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert len(properties.split(",")) == 4
    assert all("=" in one and ":" not in one for one in properties.split(","))
    assert message.count("%0A") == 1  # between the message and its hint
    assert "%250A" in message
    sarif = reports.sarif_text(loaded(problem))
    assert not HARMFUL.search(sarif)
    assert not HARMFUL.search(json.loads(sarif)["runs"][0]["results"][0]["message"]["text"])
    assert not HARMFUL.search(reports.json_text(loaded(problem)))


def test_a_name_that_is_no_text_is_reported_all_the_same(project):
    name = os.fsdecode(b"caf\xe9.yaml")
    for form in ("json", "github"):
        assert "there is no such file" in project.run("validate", "--format", form, name, code=2).stdout
    log = json.loads(project.run("validate", "--format", "sarif", name, code=2).stdout)
    (location,) = log["runs"][0]["results"][0]["locations"]
    assert location == {"physicalLocation": {"artifactLocation": {"uri": "caf%E9.yaml"}}}


def test_sarif_has_what_the_standard_requires(project):
    """SARIF 2.1.0: 3.13 a log, 3.14 a run, 3.18 a tool, 3.27 a result, 3.30 a region, 3.49 a rule."""
    project.write("m/a b.yaml", HEAD + "jobs:\n  - {key: a, prompt: p, takse: 2}\n  - {key: b, prompt: p, takse: 2}\n")
    project.write("w.yaml", HEAD + "jobs:\n  - {key: a, prompt: p, input: {fallback: true}}\n")
    elsewhere = project.folder.parent / "elsewhere.yaml"
    elsewhere.write_text("- 1\n")
    arguments = ("m/a b.yaml", "w.yaml", str(elsewhere))
    log = json.loads(project.run("validate", "--format", "sarif", *arguments, code=2).stdout)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    rules = driver["rules"]
    assert driver["name"] == "seedbatch"
    assert [rule["id"] for rule in rules] == ["manifest/shape", "schema/unknown-key", "model/warning"]
    for rule in rules:
        assert all(rule[name]["text"] for name in ("shortDescription", "fullDescription", "help"))
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert rules[result["ruleIndex"]]["defaultConfiguration"]["level"] == result["level"]
        assert result["message"]["text"]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        elsewhere.as_uri(), "m/a%20b.yaml", "m/a%20b.yaml", "w.yaml",
    ]  # fmt: skip
    assert places[1]["region"] == {"startLine": 5, "startColumn": 25}


def test_a_result_is_known_again_when_other_lines_came(project):
    wrong = "  - {key: a, prompt: p, takse: 2}\n  - {key: a, prompt: p, takse: 2}\n  - {key: c, prompt: p, takse: 2}\n"

    def prints(jobs):
        name = project.write("m.yaml", HEAD + "jobs:\n" + jobs)
        log = json.loads(project.run("validate", "--format", "sarif", name, code=2).stdout)
        return [
            result["partialFingerprints"]["lineText/v1"]
            for result in log["runs"][0]["results"]
            if result["ruleId"] == "schema/unknown-key"
        ]

    before = prints(wrong)
    assert len(set(before)) == 3
    assert prints("  - {key: z, prompt: p}\n" + wrong) == before


def test_json_is_the_same_by_either_name(project):
    name = project.write("m.yaml", HEAD + "jobs:\n  - {key: a, prompt: p, takse: 2}\n")
    found = project.run("validate", "--json", name, code=2).stdout
    assert project.run("validate", "--format", "json", name, code=2).stdout == found
    assert json.loads(found)["problems"][0]["code"] == "schema/unknown-key"
    assert "name one" in project.run("validate", "--json", "--format", "sarif", name, code=2).stderr


def test_a_valid_manifest_is_valid_in_every_format(project):
    name = project.write("m.yaml", HEAD + "jobs:\n  - {key: a, prompt: p}\n")
    assert json.loads(project.run("validate", "--format", "sarif", name).stdout)["runs"][0]["results"] == []
    assert project.run("validate", "--format", "text", name).stdout == "b: 1 job, valid\n"
