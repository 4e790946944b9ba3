"""T3, T4: broken at each named point, run again, converged."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
from crash.points import EIO, FULL, KILL, POINTS, RAISE, SCENES, WRITES, Case, Point, Statement, Together, Verb, cases
from crash.project import Ended, Project
from proof.checker import check

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="paths of descriptors are read from /proc")

EVERY = os.environ.get("SEEDBATCH_CRASH") == "all"
SETTLED = {"completed", "failed", "expired", "in_doubt"}
SUBMITTING = 2  # at once, and so in doubt when a process dies
DEATH = Case(Point("before accepted", Verb("ledger", "accepted", "before"), "plain", (KILL,)), KILL, 1)


@pytest.mark.parametrize("case", list(cases(every=EVERY)), ids=str)
def test_it_converges(case: Case, project: Project):
    scene = SCENES[case.point.scene]
    deaths = set_the_scene(project, case)

    break_it(project, case)
    deaths += not remembers(case)
    if case.way == RAISE and project.provider.exists():
        assert_what_was_on_the_wire_is_recorded(project, case, deaths)

    run_until_settled(project)
    doubts = scene.doubts + deaths * max(SUBMITTING, 4 if "--submitting=4" in scene.options else 0)
    assert_nothing_is_lost(project, doubts)


def set_the_scene(project: Project, case: Case) -> int:
    """What comes before the run that is broken; tells how many processes died in it."""
    scene = SCENES[case.point.scene]
    project.write(scene, scene.prompts)
    if scene.before is not None:
        assert_orderly(project.apply(*scene.before), {0, 3, 6})
    if scene.edited is not None:
        project.write(scene, scene.edited, scene.output)
    if scene.others:
        project.leave_to_others()
    if scene.moves_house:
        project.move_the_sandbox()
    # The second time of a point that each run passes once is in a run that cleans up after a death.
    deaths = scene.deaths + (case.turn == 2 and case.point.each_run)
    for _ in range(deaths):
        assert project.apply(*scene.options, blow=DEATH, turn=1).code == -9
        project.marker.unlink()
    return deaths


def break_it(project: Project, case: Case) -> Ended:
    scene = SCENES[case.point.scene]
    victim = project.apply(
        *scene.options,
        faults=True,
        world=scene.world,
        patient=scene.patient,
        blow=case,
        turn=1 if case.point.each_run else case.turn,
        days_later=scene.days_later,
    )
    assert project.marker.exists(), f"{case.point.name} was not reached: {victim}"
    assert "spared" not in project.marker.read_text(), victim.words
    match case.way:
        case "kill":
            assert victim.code == -9, victim
        case "raise":
            assert_orderly(victim, {0, 1, 2, 3, 4, 6, 7, 9})
            bugs = project.logs
            assert len(bugs) == (victim.code == 1), bugs
            assert all("InjectedBug" in bug for bug in bugs), bugs
        case _:
            assert_orderly(victim, {0, 2, 3, 4, 6, 7, 8, 9})
    return victim


def remembers(case: Case) -> bool:
    """Whether every submission must be known afterwards: a task id that the ledger cannot take is kept beside it."""
    match case:
        case Case(Point(seam=Verb(name="accepted") | Together()), "full" | "eio"):
            return True
        case _:
            return False


def assert_orderly(ended: Ended, codes: set[int]) -> None:
    assert "Timeout (" not in ended.words, f"it hangs: {ended.words}"
    assert "Traceback" not in ended.words, ended.words
    assert ended.code in codes, ended


def assert_what_was_on_the_wire_is_recorded(project: Project, case: Case, deaths: int) -> None:
    """But for the one attempt whose own verb was broken, and those of runs that died before.

    A bug between two verbs ends the thread that writes, and nothing can be recorded any more.
    """
    own = SUBMITTING if isinstance(case.point.seam, Statement) else 1
    unheard = project.ask(
        "SELECT a.reference FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.state = 'submitting'"
    )
    # What the ledger could not take any more, for the thread that writes had ended in a bug, is kept beside it.
    kept = project.emergency.read_text() if project.emergency.exists() else ""
    billed = {task.reference for task in project.bill() if task.task_id not in kept}
    assert len(billed & {reference for (reference,) in unheard}) <= own + SUBMITTING * (deaths - 1)


def run_until_settled(project: Project) -> None:
    """By typing it again, and once more if need be: never a bug, never a ledger that cannot be used."""
    for _ in range(2):
        again = project.apply()
        assert_orderly(again, {0, 3, 6, 7})
        if again.code in {0, 3, 7}:
            return
    pytest.fail(f"not settled: {again}")


def assert_nothing_is_lost(project: Project, doubts: int) -> None:
    assert check(project.ledger, project.bill(), project.outputs) == []
    states = project.states()
    assert set(states) <= SETTLED
    assert states.count("in_doubt") <= doubts
    for path, task_id, position in project.ask(
        "SELECT f.path, a.task_id, f.position FROM artifacts f JOIN attempts a ON a.id = f.attempt_id"
    ):
        assert_whole(project, project.outputs / path, task_id, position)
    known = {path for (path,) in project.ask("SELECT path FROM artifacts")}
    lying = {str(path.relative_to(project.outputs)) for path in project.outputs.rglob("*") if path.is_file()}
    assert lying == known | {str(Path(path).with_suffix(".json")) for path in known}


def assert_whole(project: Project, file: Path, task_id: str, position: int) -> None:
    """The very bytes that the provider offered, and a sidecar that says so."""
    content = file.read_bytes()
    assert content == (project.clips / f"{task_id}-{position}.mp4").read_bytes()
    told = json.loads(file.with_suffix(".json").read_text())
    assert (told["task_id"], told["file"]) == (task_id, file.name)
    assert (told["bytes"], told["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_there_are_enough_points():
    assert len(POINTS) >= 40
    assert len({point.name for point in POINTS}) == len(POINTS)
    assert {way for point in POINTS for way in point.ways} == set(WRITES)
    assert {FULL, EIO} <= {case.way for case in cases(every=False)}
