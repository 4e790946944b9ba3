"""Helpers: real forks, in processes of their own, since a fork wants no other thread beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="helpers need Linux and a second core"
)

HEAD = """
import os, signal, sys, threading, time
from pathlib import Path
from seedbatch.helpers import by_helpers
forks = []
os.register_at_fork(after_in_parent=lambda: forks.append(1))
"""


def told(script: str, *arguments: object, code: int = 0) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines()


def test_nobody_is_forked_for_nothing():
    script = """
assert list(by_helpers(lambda task: task, (), bytes)) == []
assert not forks
"""
    told(script)


def test_results_come_in_order_from_other_processes():
    script = """
work = lambda task: task * 2 + b" " + str(os.getpid()).encode()
found = list(by_helpers(work, range(1_000), lambda number: str(number).encode()))
assert [number for number, _ in found] == list(range(1_000))
parts = [result.split() for _, result in found]
assert [doubled for doubled, _ in parts] == [str(number).encode() * 2 for number in range(1_000)]
workers = {worker for _, worker in parts}
print(len(workers) == len(forks) > 1, str(os.getpid()).encode() in workers)
"""
    assert told(script) == ["True False"]


def test_tasks_larger_than_a_pipe_holds():
    script = """
found = list(by_helpers(lambda task: task, range(20), lambda number: bytes([number]) * 5_000_000))
print(all(result == bytes([number]) * 5_000_000 for number, result in found), len(found))
"""
    assert told(script) == ["True 20"]


def test_what_a_helper_did_not_do_is_left_to_the_caller():
    script = """
def work(task):
    if task == b"7":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == b"3":
        raise ValueError("no")
    return task
found = dict(by_helpers(work, range(40), lambda number: str(number).encode()))
assert list(found) == list(range(40))
print(sorted(number for number, result in found.items() if result is None) == [3, *range(7, 40, len(forks))])
print(all(result in (None, str(number).encode()) for number, result in found.items()))
"""
    assert told(script) == ["True", "True"]


def test_beside_another_thread_nothing_is_forked():
    script = """
threading.Thread(target=time.sleep, args=(1,)).start()
found = list(by_helpers(lambda task: task, range(3), lambda number: b"x"))
print(found, forks)
"""
    assert told(script) == ["[(0, None), (1, None), (2, None)] []"]


def test_nobody_waits_for_a_task_that_is_long():
    script = """
began = time.monotonic()
def tasks():
    yield 0
    time.sleep(0.2)
    raise SystemExit
try:
    list(by_helpers(lambda task: time.sleep(60), tasks(), lambda number: b"x"))
except SystemExit:
    print(time.monotonic() - began < 10)
"""
    assert told(script) == ["True"]


@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "SIGINT", "leave", "exception"])
def test_helpers_end_with_the_program(end):
    script = """
def tasks():
    yield from range(5)
    match sys.argv[1]:
        case "leave":
            sys.exit(0)
        case "exception":
            raise ValueError
        case name:
            os.kill(0 if name == "SIGINT" else os.getpid(), getattr(signal, name))
            time.sleep(60)
for _ in by_helpers(lambda task: task, tasks(), lambda number: b"x"):
    print("busy", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + script, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Standard output is at its end when the last of them is gone.
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read().startswith(b"busy")
    process.wait(10)


ROWS = """
from seedbatch.manifest.loading import load
def all_of(path):
    loaded = load([path])
    return [list(batch.jobs) for batch in loaded.batches], loaded.problems, loaded.warnings
path = Path(sys.argv[1])
together = all_of(path)
assert len(forks) > 1
del forks[:]
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
alone = all_of(path)
assert not forks
assert together == alone
print(sum(map(len, together[0])), len(together[1]), len(together[2]))
os._exit(0) if not print(end="", flush=True) else None
"""
MANIFEST = """
version: 1
batch: b
defaults: {model: seedance-2.0, input: {prompt: p, ratio: "16:9", resolution: 480p, duration: 5}}
"""
SOURCE = 'sources:\n  - {csv: rows.csv, key: "{{ id }}", prompt: "{{ text }}", input: {duration: "{{ s }}"}}\n'


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("kind", ["rows", "jobs"])
def test_what_helpers_find_is_what_one_process_finds(tmp_path: Path, kind, wrong):
    lines = []
    for number in range(14_000):
        # Wrong by a cell, wrong by the template, and a name that came before.
        bad = wrong and number % 1_009 == 11
        lines.append((f"s{number - 1 if bad and number % 2 else number}", "99" if bad else "5", f"text {number}"))
    path = tmp_path / "m.yaml"
    if kind == "rows":
        path.write_text(MANIFEST + SOURCE)
        (tmp_path / "rows.csv").write_text("id,s,text\n" + "".join(f"{key},{s},{text}\n" for key, s, text in lines))
        if wrong:
            with (tmp_path / "rows.csv").open("a") as file:
                file.write("one cell\n" + 'x,5,"never closed')
    else:
        entries = (f"  - {{key: {key}, prompt: {text}, input: {{duration: {s}}}}}\n" for key, s, text in lines)
        path.write_text(MANIFEST + "jobs:\n" + "".join(entries))
    ((jobs, problems, _),) = [map(int, line.split()) for line in told(ROWS, path)]
    assert (jobs == 14_000, problems == 0) == (not wrong, not wrong)
    assert not wrong or problems > 10


def test_long_rows_and_rows_that_stand_for_many_jobs_take_no_more_memory(tmp_path: Path):
    """A task is cut where it would be long, and what a row stands for is counted one by one."""
    script = """
import resource
from seedbatch.manifest.loading import load
loaded = load([Path(sys.argv[1])])
# What getrusage says of this process itself begins with the memory of who started it.
held = [int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024]
held.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
print(len(forks) > 1, sum(len(batch.jobs) for batch in loaded.batches), max(held) < 150 or held)
"""
    path = tmp_path / "m.yaml"
    path.write_text(MANIFEST + 'sources:\n  - {csv: rows.csv, key: "{{ id }}", prompt: "{{ id }}"}\n')
    long = "x" * 90_000
    with (tmp_path / "rows.csv").open("w") as file:
        file.write("id,note\n")
        file.writelines(f"s{number},{long if number > 10_000 else ''}\n" for number in range(11_000))
    assert told(script, path) == ["True 11000 True"]
    path.write_text(path.read_text().replace('prompt: "{{ id }}"}', 'prompt: "{{ id }}", takes: 1000}'))
    (tmp_path / "rows.csv").write_text("id,note\n" + "".join(f"s{number},\n" for number in range(1_000)))
    script = script.replace(
        "loaded = load", "from seedbatch.manifest import loading\nloading._MOST_OF_ROWS = 60_000\nloaded = load"
    )
    many = "from seedbatch.manifest import many\nmany.ALONE = 10\n"
    assert told(many + script, path) == ["True 0 True"]


@pytest.mark.parametrize("takes", [2, 50])  # as many as helpers count, and more
def test_few_lines_that_stand_for_many_jobs_are_counted_as_ever(tmp_path: Path, takes):
    path = tmp_path / "m.yaml"
    entries = "".join(
        f"  - {{key: s{number}, takes: {takes if number >= 10_000 else 1}}}\n" for number in range(20_000)
    )
    path.write_text(MANIFEST + "jobs:\n" + entries)
    script = """
from seedbatch.manifest import loading
loading._MOST_JOBS = 20_000
loaded = loading.load([Path(sys.argv[1])])
print(len(forks) > 1, [one.message for one in loaded.problems])
"""
    assert told(script, path) == ["True ['the jobs of this file come to more than 20,000 jobs']"]


# Of ten thousand jobs it would be as it is of these.
SOON = "from seedbatch.manifest import ahead, many\nahead.ALONE = many.ALONE = 1_000\n"
JOBS = "".join(f"  - {{key: s{number}, prompt: text {number}}}\n" for number in range(2_300))
# And whether one set of helpers is all that it takes.
FOLLOWING = {
    "nothing": ("", True),
    "a budget": ("budget: {max_jobs: 5}\n", True),
    "a source": ('sources: [{csv: rows.csv, key: "{{ id }}", prompt: p}]\n', True),
    "a comment": ("# the end\n...\n", True),
    "an output": ('output: "x/{{ key }}"\n', False),
    "vars": ("vars: {style: film}\n", False),
    "takes": ("takes: 2\n", False),
    "an unknown key": ("colour: red\n", False),
    "a wrong key": ("limits: {submitting: none}\n", False),
    "an alias of the jobs": ("vars: {all: *jobs}\n", False),
    "a wrong job": ("  - {prompt: p}\n", False),
    "a wrong request": ("  - {key: last, prompt: p, input: {duration: 99}}\n", True),
    "a job that is there": ("  - {key: s7, prompt: p}\n", True),
    "no job": ("  - 7\n", False),
}


@pytest.mark.parametrize("follows", FOLLOWING)
def test_whatever_follows_the_jobs_counts_for_all_of_them(tmp_path: Path, follows):
    text, once = FOLLOWING[follows]
    (tmp_path / "rows.csv").write_text("id\nr1\nr2\n")
    path = tmp_path / "m.yaml"
    path.write_text(f"{MANIFEST}jobs: &jobs\n{JOBS}{text}")
    # What was of no use is done again, by other helpers.
    script = ROWS.replace("del forks[:]", "print(len(forks) > min(8, len(os.sched_getaffinity(0))))\ndel forks[:]")
    again, found = told(SOON + script, path)
    jobs, problems, _ = map(int, found.split())
    assert problems or jobs >= 2_300
    assert again == str(not once)


@pytest.mark.parametrize("end", ["vars: [", "jobs: []", "---\nversion: 1", "\tx: 1", "vars: {a: &a [*a]}"])
def test_what_cannot_be_read_to_its_end_is_told_as_ever(tmp_path: Path, end):
    path = tmp_path / "m.yaml"
    path.write_text(f"{MANIFEST}jobs:\n{JOBS}{end}\n")
    ((jobs, problems, _),) = [map(int, line.split()) for line in told(SOON + ROWS, path)]
    assert (jobs, problems) == (0, 1)


@pytest.mark.parametrize("head", ["", "colour: red\n"])
def test_what_stands_before_the_jobs_may_be_wrong_or_come_later(tmp_path: Path, head):
    path = tmp_path / "m.yaml"
    path.write_text(f"{head}jobs:\n{JOBS}{MANIFEST}")
    ((jobs, problems, _),) = [map(int, line.split()) for line in told(SOON + ROWS, path)]
    assert (jobs, problems) == ((0, 1) if head else (2_300, 0))


def test_values_that_stand_for_others_reach_helpers(tmp_path: Path):
    path = tmp_path / "m.yaml"
    shared = "vars: {long: &long {duration: 8}, text: &text dawn}\n"
    entries = "".join(f"  - {{key: s{number}, prompt: *text, input: *long}}\n" for number in range(2_000))
    path.write_text(f"{MANIFEST}{shared}jobs:\n{entries}  - &last {{key: z, prompt: p}}\n")
    assert told(SOON + ROWS, path) == ["2001 0 101"]  # all but one and one ask for the same
