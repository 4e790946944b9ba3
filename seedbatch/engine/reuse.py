"""The reuse role: gives jobs whose request was paid for already the files of that task, at their own paths."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from seedbatch.domain.answers import CannotStore, FetchResult, StoredFile
from seedbatch.domain.errors import Exit, StaleCaller
from seedbatch.domain.jobs import further_names
from seedbatch.domain.work import Download, Share, SharedFile
from seedbatch.engine.crew import Crew, Hands, Stop
from seedbatch.engine.happenings import Kind
from seedbatch.engine.way import make_way, make_way_beyond
from seedbatch.ports import Clock, DownloadLedger, ReuseLedger, Store


class Reuser:
    """Links the files of completed sources, and of tasks that others paid for.

    `seeks`: at its first look, and whenever such a task was taken up, it finds what may share one.
    """

    def __init__(
        self, crew: Crew, ledger: ReuseLedger, occupants: DownloadLedger, store: Store, hands: Hands, *, seeks: bool
    ) -> None:
        self._crew = crew
        self._ledger = ledger
        self._occupants = occupants
        self._store = store
        self.hands = hands
        self._seeks = seeks
        self._begun: set[int] = set()  # under way, or not to be had in this run

    async def look(self, now: datetime) -> datetime | None:
        """Begin what can be linked; returns when to look again."""
        if self._crew.halted or self.hands.free <= 0:
            return None
        if self._seeks:
            self._seeks = False
            await self._ledger.find_shares(self._crew.scope, now)
        elif waits := self._crew.shares.waits(now):
            return waits
        shares, freed = await self._ledger.claim_shares(self._crew.scope, now, self.hands.free, self._begun)
        if freed:
            self._crew.wake.set()  # those who submit have looked already
        for share in shares:
            self._begun.add(share.job_id)
            self.hands.begin(self._link(share))
        return self._crew.shares.took(now, None)

    async def _link(self, share: Share) -> None:
        files: list[StoredFile] = []
        try:
            await make_way_beyond(*self._ground, share.job_id, share.output, len(share.files))
            for file in share.files:
                result = await self._file(share, file)
                if not isinstance(result, StoredFile):
                    self._cannot(share, result.cause)
                    return
                files.append(result)
            if not await self._ledger.linked(share, files, self._crew.now()):
                self._cannot(share, "it lies at that very path; give one of the two jobs another output")
                return
        except StaleCaller:
            return  # another process, or a person, was faster
        finally:
            self._crew.shares.stir()
        self._seeks |= not share.source_id
        self._crew.report(Kind.REUSED, share.name, source=share.source, task_id=share.task_id, path=files[-1].path)

    @property
    def _ground(self) -> tuple[DownloadLedger, Store, Clock]:
        return self._occupants, self._store, self._crew.clock

    async def _file(self, share: Share, file: SharedFile) -> FetchResult:
        name = further_names(share.output, file.position)[-1]
        try:
            moved = await make_way(*self._ground, share.job_id, name)
        except OSError as error:
            return CannotStore(f"the file of an earlier revision cannot be moved aside: {error}")
        if moved is not None and file.path.endswith(f"/{moved.before}"):  # it was the source's: a job with a new name
            file = replace(file, path=f"{file.path.removesuffix(moved.before)}{moved.now}")
        part = f"share-{share.job_id}-{file.position}"
        sidecar = {**share.sidecar, "position": file.position}
        return await self._store.share(file, Download("", name, share.kind, part, sidecar))

    def _cannot(self, share: Share, cause: str) -> None:
        """It was paid for, so it is not sent: what lies at the source is looked at again by the next run."""
        reason = f"{share.name} shares the task of {share.source}, whose file cannot be had: {cause}"
        self._crew.report(Kind.NOT_FETCHED, share.name, reason=cause)
        hint = "see to that, then apply again: it is not paid for a second time unless you say --no-reuse"
        self._crew.stop(Stop(Exit.RUNNING, reason, hint))
