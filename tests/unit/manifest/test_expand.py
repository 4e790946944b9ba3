from __future__ import annotations

import pytest


def test_defaults_then_input_then_prompt_and_null_removes(desk):
    head = desk.head.replace("duration: 5}", "duration: 5, prompt: default, fallback: true}")
    (job,) = desk.jobs(
        "jobs: [{key: a, prompt: own, input: {prompt: inner, duration: 6, fallback: null}}]\n", head=head
    )
    assert job.request.model == "seedance-2.0"
    assert job.request.input == {
        "fallback": False, "resolution": "480p", "ratio": "16:9", "duration": 6, "prompt": "own",
    }  # fmt: skip


def test_the_program_adds_nothing_but_what_the_schema_declares(desk):
    head = "version: 1\nbatch: b\ndefaults: {model: somebody/else, input: {a: 1}}\n"
    (job,) = desk.jobs("jobs: [{key: a, prompt: p}]\n", head=head, allow_unknown_model=True)
    assert job.request.input == {"a": 1, "prompt": "p"}


def test_tags_unite(desk):
    head = desk.head.replace("defaults:", "defaults:\n  tags: [all, hero]")
    (job,) = desk.jobs('jobs: [{key: a, prompt: p, tags: [hero, "take-{{ take }}"]}]\n', head=head)
    assert job.tags == ("all", "hero", "take-1")


@pytest.mark.parametrize(
    ("entry", "addresses"),
    [
        ("{key: river}", ["river"]),
        ("{key: river, takes: 1}", ["river"]),
        ("{key: river, takes: 2}", ["river#1", "river#2"]),
        ("{key: river, takes: 2.0}", ["river#1", "river#2"]),
        ("{key: river, matrix: {b: [1, 2], a: [x]}}", ["river[a=x,b=1]", "river[a=x,b=2]"]),
        ("{key: river, matrix: {a: [x]}, takes: 2}", ["river[a=x]#1", "river[a=x]#2"]),
        ('{key: "river-{{ a }}", matrix: {a: [x, y]}}', ["river-x", "river-y"]),
        ('{key: "river-{{ a }}", matrix: {a: [x, y]}, takes: 2}', ["river-x#1", "river-x#2", "river-y#1", "river-y#2"]),
        ("{key: river, matrix: {a: [true, null, 1.5]}}", ["river[a=true]", "river[a=null]", "river[a=1.5]"]),
    ],
)
def test_addresses(desk, entry, addresses):
    entry = entry[:-1] + ', prompt: "p {{ a|default(0) }}"}'
    jobs = desk.jobs(f"jobs:\n  - {entry}\n")
    assert [job.address for job in jobs] == addresses
    assert [job.base for job in jobs] == [address.partition("#")[0] for address in addresses]
    assert [job.take for job in jobs] == [int(address.partition("#")[2] or 1) for address in addresses]


@pytest.mark.parametrize("where", ["takes: 2\n", "defaults: {model: seedance-2.0, takes: 2}\n"])
def test_takes_of_the_batch(desk, where):
    head = f"version: 1\nbatch: b\n{where}"
    head += "" if "defaults" in where else "defaults: {model: seedance-2.0}\n"
    text = "jobs: [{key: a, prompt: p, input: {ratio: 16:9, resolution: 480p, duration: 5}}]\n"
    assert [job.address for job in desk.jobs(text, head=head)] == ["a#1", "a#2"]


def test_takes_are_one_request(desk):
    one, two = desk.jobs("jobs: [{key: a, prompt: p, takes: 2}]\n")
    assert one.fingerprint == two.fingerprint == one.request.fingerprint


def test_a_jobs_matrix_replaces_the_batchs(desk):
    jobs = desk.jobs(
        "matrix: {s: [1, 2]}\njobs: [{key: a, prompt: p, matrix: {t: [3]}}, {key: b, prompt: q, matrix: {}}]\n"
    )
    assert [job.address for job in jobs] == ["a[t=3]", "b"]


def test_a_matrix_multiplies_even_what_does_not_name_it(desk):
    loaded = desk.load(desk.head + "matrix: {s: [1, 2]}\njobs: [{key: a, prompt: p}]\n")
    assert [job.address for job in loaded.batches[0].jobs] == ["a[s=1]", "a[s=2]"]
    assert [warning.code for warning in loaded.warnings] == ["job/repeated"]


def test_names_in_templates(desk):
    text = """vars: {v: film}
matrix: {axis: [x]}
jobs:
  - key: river
    takes: 2
    prompt: "{{ v }} {{ axis }} {{ batch }} {{ key }} {{ take }}"
    output: "{{ v }}/{{ key }}"
"""
    first, second = desk.jobs(text)
    assert first.request.prompt == "film x b river 1"
    assert (second.address, second.output) == ("river[axis=x]#2", "film/river-axis=x--take2")


def test_an_axis_wins_over_a_variable(desk):
    (job,) = desk.jobs('vars: {s: var}\nmatrix: {s: [axis]}\njobs: [{key: a, prompt: "{{ s }}"}]\n')
    assert job.request.prompt == "axis"


def test_a_whole_expression_keeps_its_type(desk):
    jobs = desk.jobs('matrix: {d: [4, 6]}\njobs: [{key: a, prompt: p, input: {duration: "{{ d + 1 }}"}}]\n')
    assert [job.request.input["duration"] for job in jobs] == [5, 7]


def test_lists_are_rendered_inside(desk):
    text = """vars: {host: https://x.example}
jobs: [{key: a, prompt: p, input: {mediaUrls: ["{{ host }}/1.png", "{{ host }}/2.png"]}}]
"""
    (job,) = desk.jobs(text)
    assert job.request.input["mediaUrls"] == ["https://x.example/1.png", "https://x.example/2.png"]


def test_whole_floats_are_sent_as_integers(desk):
    (job,) = desk.jobs("jobs: [{key: a, prompt: p, input: {duration: 5.0}}]\n")
    assert repr(job.request.input["duration"]) == "5"


def test_the_default_output_is_the_address(desk):
    jobs = desk.jobs('matrix: {r: ["16:9"]}\njobs: [{key: a, prompt: p, takes: 2}]\n')
    assert [job.output for job in jobs] == ["b/a-r=16-9--take1", "b/a-r=16-9--take2"]


def test_file_and_line(desk):
    first, second = desk.jobs("jobs:\n\n  - {key: a, prompt: p}\n  - key: c\n    prompt: q\n")
    assert (first.file, first.line, second.line) == (str(desk.folder / "m.yaml"), 8, 9)


@pytest.mark.parametrize("value", ["99999999999999999999", '"{{ 2**60 }}"', "\"{{ '\\\\ud800' }}\""])
def test_what_json_cannot_hold_is_a_problem_for_any_model(desk, value):
    text = desk.head.replace("seedance-2.0", "x") + f"jobs: [{{key: a, prompt: p, input: {{seed: {value}}}}}]\n"
    (code,) = desk.codes(text, allow_unknown_model=True)
    assert code in {"job/json", "template/type"}


def test_the_same_mistake_of_many_cells_is_told_once(desk):
    text = desk.head + 'matrix: {n: [1, 2, 3]}\njobs: [{key: a, prompt: "{{ nn }}"}]\n'
    (problem,) = desk.load(text).problems
    assert problem.message == "nn is not defined (where n=1 and 2 more)"


def test_a_large_matrix_where_it_is_meant(desk):
    text = "jobs: [{key: a, prompt: p, takes: 1000, matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}}]\n"
    assert desk.codes(desk.head + text) == ["matrix/size"]
    assert len(desk.jobs(text, allow_large_matrix=True)) == 11_000
