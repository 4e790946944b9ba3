from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbatch.domain.errors import UsageError
from seedbatch.domain.jobs import Limits
from seedbatch.manifest import canonical_schema, load, loading, starter

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads(path):
    loaded = load([path])
    assert (loaded.problems, loaded.warnings) == ((), ())
    (batch,) = loaded.batches
    assert batch.jobs
    assert batch.manifest == str(path)
    assert batch.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_examples_load_together():
    assert len(load(EXAMPLES).batches) == len(EXAMPLES) >= 4


def test_files_with_one_batch_name_are_one_batch(desk):
    one = desk.write(
        desk.head + "limits: {submitting: 3, in_flight: 10}\nretry: {attempts: 3}\njobs: [{key: a, prompt: p}]\n",
        "1.yaml",
    )
    two = desk.write(
        desk.head
        + "limits: {submitting: 2.0, submits_per_minute: 7.5}\nretry: {attempts: 2}\njobs: [{key: c, prompt: q}]\n",
        "2.yaml",
    )
    (batch,) = load([one, two]).batches
    assert [job.address for job in batch.jobs] == ["a", "c"]
    assert batch.limits == Limits(submitting=2, in_flight=10, submits_per_minute=7.5)
    assert isinstance(batch.limits.submitting, int)
    assert batch.attempts == 2
    assert batch.manifest == f"{one},{two}"
    assert len(batch.digest) == 64


def test_who_does_not_ask_for_retries_gets_none(desk):
    one = desk.write(desk.head + "retry: {attempts: 3}\njobs: [{key: a, prompt: p}]\n", "1.yaml")
    two = desk.write(desk.head + "jobs: [{key: c, prompt: q}]\n", "2.yaml")
    assert load([one]).batches[0].attempts == 3
    assert load([one, two]).batches[0].attempts == 1


def test_a_file_given_twice_is_one_file(desk):
    path = desk.write(desk.head + "jobs: [{key: a, prompt: p}]\n")
    assert len(load([path, path]).batches[0].jobs) == 1


def test_one_address_in_two_files(desk):
    one = desk.write(desk.head + "jobs: [{key: a, prompt: p}]\n", "1.yaml")
    two = desk.write(desk.head + "jobs: [{key: a, prompt: q}]\n", "2.yaml")
    (problem,) = load([one, two]).problems
    assert (problem.file, problem.code) == (str(two), "job/duplicate")
    assert f"{one}:6" in problem.message


def test_one_output_in_two_batches(desk):
    one = desk.write(desk.head + "output: same\njobs: [{key: a, prompt: p}]\n", "1.yaml")
    two = desk.write(
        desk.head.replace("batch: b", "batch: c") + "jobs: [{key: a, prompt: q, output: Same}]\n", "2.yaml"
    )
    (problem,) = load([one, two]).problems
    assert problem.code == "job/output-taken"


def test_the_same_request_twice_is_worth_a_word(desk):
    loaded = desk.load(desk.head + "jobs:\n  - {key: a, prompt: p}\n  - {key: c, prompt: p}\n")
    (warning,) = loaded.warnings
    assert (warning.line, warning.code) == (8, "job/repeated")
    assert "takes: 2" in warning.hint
    assert len(loaded.batches[0].jobs) == 2


def test_warnings_of_models_are_told_once(desk):
    head = desk.head.replace("seedance-2.0", "seedance-2.0-fast").replace("480p", "1080p")
    loaded = desk.load(head + "jobs:\n  - {key: a, prompt: p}\n  - {key: c, prompt: q}\n")
    (warning,) = loaded.warnings
    assert (warning.line, warning.code) == (5, "model/warning")


TWO = "vars: {who: fox}\njobs: [{key: a, prompt: p, tags: [x]}, {key: b, prompt: q, takes: 2}]\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("prompt: p", "prompt: r"),
        ("key: a", "key: c"),
        ("tags: [x]", "tags: [y]"),
        ("takes: 2", "takes: 3"),
        ("{who: fox}", "{who: hen}"),
        ("{key: a, prompt: p, tags: [x]}, {key: b, prompt: q, takes: 2}",
         "{key: b, prompt: q, takes: 2}, {key: a, prompt: p, tags: [x]}"),
        ("jobs:", 'output: "{{ key }}"\njobs:'),
        ("vars", "\nvars"),
    ],
)  # fmt: skip
def test_jobs_have_another_digest_when_anything_of_them_differs(desk, before, after):
    (batch,) = load([desk.write(desk.head + TWO)]).batches
    (other,) = load([desk.write(desk.head + TWO.replace(before, after))]).batches
    assert batch.jobs_digest != other.jobs_digest


def test_jobs_that_are_the_same_have_one_digest(desk):
    (batch,) = load([desk.write(desk.head + TWO)]).batches
    (other,) = load([desk.write(desk.head + TWO + "retry: {attempts: 2}  # tried again\n")]).batches
    assert other.digest != batch.digest
    assert other.jobs_digest == batch.jobs_digest


def test_very_many_problems_are_counted(desk):
    entries = "".join(f"  - {{key: k{number}, prompt: p, input: {{duration: 99}}}}\n" for number in range(150))
    problems = desk.load(desk.head + "jobs:\n" + entries).problems
    assert len(problems) == 101
    assert problems[-1].message == "and 50 more in this file"


def test_after_very_many_the_rest_is_not_looked_at(desk):
    entries = "".join(f"  - {{key: k{number}, prompt: p, input: {{duration: 99}}}}\n" for number in range(3_000))
    problems = desk.load(desk.head + "jobs:\n" + entries).problems
    assert [one.message for one in problems[-2:]] == [
        "more than 2,000 problems in these jobs: what follows was not looked at",
        "and 1,902 more in this file",
    ]


def test_a_few_lines_do_not_stand_for_very_many_jobs(desk, monkeypatch):
    monkeypatch.setattr(loading, "_MOST_JOBS", 50)
    text = desk.head + "jobs:\n" + "".join(f"  - {{key: k{n}, prompt: p{n}, takes: 20}}\n" for n in range(3))
    (problem,) = desk.load(text).problems
    assert (problem.line, problem.code) == (6, "manifest/size")
    assert "more than 50 jobs" in problem.message
    assert len(desk.load(text, allow_large_matrix=True).batches[0].jobs) == 60
    assert "manifest/size" in desk.codes(text.replace("prompt: p", "prompt: look at @9 and p"))


def test_a_few_lines_do_not_stand_for_very_much_text(desk, monkeypatch):
    monkeypatch.setattr(loading, "_MOST_TEXT", 1_000_000)
    text = desk.head + "jobs:\n  - {key: a, prompt: \"{{ 'x' * 50000 }}\", takes: 30}\n"
    for lenient in ({}, {"allow_large_matrix": True}):
        (problem,) = desk.load(text, **lenient).problems
        assert (problem.line, problem.code) == (6, "manifest/size")
    assert desk.codes(text.replace("30", "19")) == []


def test_a_fixed_output_of_several_takes_says_what_to_do(desk):
    (problem,) = desk.load(desk.head + "jobs: [{key: a, prompt: p, takes: 2, output: same}]\n").problems
    assert problem.code == "job/output-taken"
    assert "{{ key }}" in problem.hint


def test_one_bad_job_hides_no_other(desk):
    entries = "".join(f"  - {{key: k{number}, prmpt: p}}\n" for number in range(50))
    codes = desk.codes(desk.head + "jobs:\n" + entries + "  - {key: z, prompt: p, input: {duration: 99}}\n")
    assert codes == ["schema/unknown-key"] * 50 + ["schema/range"]


def test_a_good_file_beside_a_bad_one_gives_no_batch(desk):
    good = desk.write(desk.head + "jobs: [{key: a, prompt: p}]\n", "1.yaml")
    loaded = load([good, desk.folder / "none.yaml"])
    assert loaded.batches == ()
    assert [problem.code for problem in loaded.problems] == ["file/unreadable"]


def test_bom_and_crlf_change_nothing(desk):
    text = desk.head + 'jobs:\n  - key: a\n    prompt: "p\n      q"\n'
    plain = desk.jobs(text, head="")
    marked = desk.load(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()).batches[0].jobs
    assert [job.fingerprint for job in marked] == [job.fingerprint for job in plain]


WORDS = st.text("abcdefgh {}%é:#-'\"", min_size=1, max_size=12).filter(lambda text: "{" not in text and text.strip())
ENTRY = st.fixed_dictionaries(
    {"prompt": WORDS, "input": st.fixed_dictionaries({"duration": st.integers(4, 15)})},
    optional={"takes": st.integers(1, 3), "matrix": st.just({"shot": [1, "b"]}), "tags": st.lists(WORDS, max_size=2)},
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(ENTRY, min_size=1, max_size=5), data=st.data())
def test_cosmetic_edits_are_free(desk, entries, data):
    head = {"version": 1, "batch": "b",
            "defaults": {"model": "seedance-2.0", "input": {"resolution": "480p", "ratio": "16:9"}}}  # fmt: skip
    jobs = [{"key": f"k{number}", **entry} for number, entry in enumerate(entries)]
    before = _identities(desk.load(yaml.safe_dump({**head, "jobs": jobs})))

    edited = [dict(data.draw(st.permutations(list(job.items())))) for job in data.draw(st.permutations(jobs))]
    for job in edited:
        job["tags"] = data.draw(st.lists(WORDS, max_size=2))
        if data.draw(st.booleans()):
            job["output"] = f"elsewhere/{job['key']}/" + "{{ key }}"
    flow = data.draw(st.booleans())
    text = "# a remark\n" + yaml.safe_dump({"jobs": edited, **head}, default_flow_style=flow, sort_keys=False)
    assert _identities(desk.load(text)) == before

    cut = data.draw(st.integers(0, len(edited) - 1))
    parts = [part for part in (edited[:cut], edited[cut:]) if part]
    paths = [
        desk.write(yaml.safe_dump({**head, "jobs": part}), f"part{number}.yaml") for number, part in enumerate(parts)
    ]
    assert _identities(load(paths)) == before


def _identities(loaded):
    assert loaded.problems == ()
    (batch,) = loaded.batches
    return {(job.address, job.take, job.fingerprint) for job in batch.jobs}


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    | st.sampled_from(["{{ x }}", "seedance-2.0", "16:9", "480p", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["version", "batch", "defaults", "jobs", "key", "prompt", "input", "model", "matrix", "include",
                         "exclude", "takes", "tags", "vars", "output", "limits", "retry", "attempts", "ratio"]),
        inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(st.sampled_from(["defaults", "jobs", "matrix", "vars", "takes", "limits"]), TREES))
def test_no_manifest_raises(desk, tree):
    text = yaml.safe_dump({"version": 1, "batch": "b", **tree})
    for lenient in ({}, {"allow_unknown_model": True}):
        loaded = desk.load(text, **lenient)
        assert bool(loaded.batches) != bool(loaded.problems)


def test_the_starter_loads(desk):
    text = starter("first")
    assert text.startswith("# yaml-language-server: $schema=")
    loaded = desk.load(text)
    assert (loaded.problems, loaded.warnings) == ((), ())
    assert loaded.batches[0].name == "first"


def test_schemas_are_given_away_as_copies():
    canonical_schema(None)["properties"].clear()
    assert "jobs" in canonical_schema(None)["properties"]
    assert "seedance-1.5-pro" in canonical_schema("seedance-2.0")["properties"]["model"]["enum"]
    with pytest.raises(UsageError) as caught:
        canonical_schema("seedance-2")
    assert "seedance-2.0" in caught.value.hint
