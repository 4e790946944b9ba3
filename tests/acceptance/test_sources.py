"""Rows of a spreadsheet, from the file to the clips."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
from hashlib import sha256

from seedbatch.sandbox import read_bill

MANIFEST = """\
version: 1
batch: rows
defaults:
  model: seedance-2.0-fast
  input: {resolution: 480p, ratio: 1:1, duration: 4}
sources:
  - csv: shots.csv
    key: "{{ shot }}"
    prompt: "{{ text }}"
"""
COUNT = 12
ROWS = "shot,text\n" + "".join(f"s{number},as it was checked {number}\n" for number in range(COUNT))


def prompts(project):
    """What the ledger holds of each job."""
    return {job.base: job.request.prompt for job in project.records().jobs()}


def test_rows_become_clips_and_a_second_run_submits_nothing(project):
    project.write("m.yaml", MANIFEST)
    project.write("shots.csv", ROWS)
    project.apply("m.yaml")
    assert project.states() == {f"s{number}": "completed" for number in range(COUNT)}
    ((sources,),) = sqlite3.connect(project.folder / ".seedbatch/sandbox.db").execute("SELECT sources FROM batches")
    assert sha256(ROWS.encode()).hexdigest() in sources

    # Rows in another order, with another end of line, and one more: that one is submitted.
    head, *rows = ROWS.splitlines()
    project.write("shots.csv", "\r\n".join([head, *reversed(rows), "s99,one more"]) + "\r\n")
    project.apply("m.yaml")
    assert project.submitted() == COUNT + 1


def test_a_run_acts_on_the_bytes_that_it_checked(project):
    """Manifest and rows are rewritten all the time, at times by half; what is submitted is what was asked about."""
    project.write("m.yaml", MANIFEST)
    project.write("shots.csv", ROWS)
    process = project.start(
        *("apply", "m.yaml", "--sandbox", "--yes", "--sandbox-speed=20", "--submitting=1"), stderr=subprocess.PIPE
    )
    told = []
    done = threading.Event()

    def edit():
        while not done.wait(0.05):
            project.write("shots.csv", ROWS.replace("as it was checked", "another thing"))
            project.write("m.yaml", MANIFEST[:40])

    # The plan is told once both files were read.
    for line in process.stderr:
        told.append(line)
        if "Moderation" in line:
            break
    editor = threading.Thread(target=edit)
    editor.start()
    try:
        told += process.stderr.readlines()
        assert process.wait(60) == 0, told
    finally:
        done.set()
        editor.join()
    assert prompts(project) == {f"s{number}": f"as it was checked {number}" for number in range(COUNT)}
    assert sum(line.kind == "charge" for line in read_bill(project.provider_file)) == COUNT

    # What it is now is told, and nothing is lost or sent.
    again = project.apply("m.yaml", code=2)
    assert "nothing was submitted" in again.stderr
    assert project.submitted() == COUNT


def test_a_row_that_is_wrong_is_told_with_its_place(project):
    project.write("m.yaml", MANIFEST)
    project.write("shots.csv", "shot,text\nok,A river\na/b,A lake\n")
    done = project.apply("m.yaml", code=2)
    assert "shots.csv:3:1:" in done.stderr
    assert "(row 2, column shot)" in done.stderr
    assert not (project.folder / ".seedbatch").exists()
