"""Cosmetic edits are free: however a manifest is renamed, split, reordered or tagged, nothing is paid for again."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NOON, claim

from seedbatch.domain.answers import MediaKind, StoredFile, TaskReport
from seedbatch.domain.jobs import Limits
from seedbatch.engine.plan import make_plan
from seedbatch.engine.planned import Action
from seedbatch.ledger.reader import SqliteRecords
from seedbatch.ledger.sqlite import SqliteLedger
from seedbatch.manifest import load

PROMPTS = ("A river", "A lake", "A hill", "A {{ season }} wood")
HEAD = """\
{comment}version: 1
batch: {batch}
defaults: {{model: seedance-2.0-fast, input: {{resolution: 480p, ratio: 16:9, duration: 5}}, tags: {tags}}}
matrix: {{season: [spring, autumn]}}
output: "{output}"
jobs:
"""


@st.composite
def edits(draw):
    """The jobs, in one file or two, under any names: a list of files, each a head and its jobs."""
    order = draw(st.permutations(PROMPTS))
    cut = draw(st.integers(0, len(order)))
    batches = draw(st.sampled_from([("b", "b"), ("b", "c"), ("other", "b")]))
    files = []
    for number, (batch, prompts) in enumerate(zip(batches, (order[:cut], order[cut:]), strict=True)):
        head = HEAD.format(
            comment=draw(st.sampled_from(["", "# a remark\n"])),
            batch=batch,
            tags=draw(st.sampled_from(["[]", "[hero]", "[a, b]"])),
            output=draw(st.sampled_from(["{{ batch }}/{{ key }}", "new/{{ batch }}-{{ key }}"])),
        )
        keys = draw(st.permutations([f"k{number}-{place}" for place in range(len(PROMPTS))]))
        jobs = [f'  - {{key: {key}, prompt: "{prompt}"}}\n' for key, prompt in zip(keys, prompts, strict=False)]
        if jobs:
            files.append(head + "".join(jobs))
    return files


def loaded(folder: Path, files: list[str]):
    paths = [folder / f"m{number}.yaml" for number in range(len(files))]
    for path, text in zip(paths, files, strict=True):
        path.write_text(text)
    found = load(paths)
    assert found.problems == ()
    return found.batches


async def paid_for(folder: Path, batches) -> None:
    """A ledger in which all of it is on disk."""
    ledger = SqliteLedger(folder / "ledger.db", kind="real", folder=folder / "outputs", now=NOON)
    for batch in batches:
        await ledger.declare(batch, NOON)
    number = 0
    while (found := await claim(ledger, None, Limits(), NOON, 50))[0]:
        for one in found[0]:
            number += 1
            await ledger.accepted(one.attempt_id, f"t{number}", NOON, NOON)
            await ledger.claim_queries(None, NOON, 1)
            report = TaskReport(f"t{number}", "SUCCESS", MediaKind.VIDEO, ("https://x.example/1.mp4",))
            await ledger.succeeded(one.attempt_id, report, NOON, NOON + timedelta(days=7))
            await ledger.claim_deliveries(None, NOON, 1)
            await ledger.stored(one.attempt_id, 1, StoredFile(f"{number}.mp4", 10, "a" * 64, "video/mp4"), NOON)
    await ledger.aclose()


async def declared(folder: Path, batches) -> int:
    """The next manifests are recorded; returns how many submissions a claim would make of them."""
    ledger = SqliteLedger(folder / "ledger.db", kind="real", folder=folder / "outputs", now=NOON)
    for batch in batches:
        await ledger.declare(batch, NOON)
    found, _ = await claim(ledger, None, Limits(), NOON, 50)
    await ledger.aclose()
    return len(found)


@settings(deadline=None, max_examples=40)
@given(edits(), st.lists(edits(), min_size=1, max_size=3))
def test_no_edit_of_names_and_places_is_paid_for(first, later):
    with TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(paid_for(folder, loaded(folder, first)))
        for files in later:
            batches = loaded(folder, files)
            with closing(SqliteRecords(folder / "ledger.db")) as records:
                plan = make_plan(batches, records)
            assert plan.submissions == 0
            assert set(plan.counts) <= {Action.UNCHANGED, Action.MOVE, Action.REUSE, Action.ORPHAN}
            assert asyncio.run(declared(folder, batches)) == 0
