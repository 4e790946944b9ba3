"""The download role: brings the outputs of succeeded tasks to disk and leaves their jobs completed or expired."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, assert_never

from seedbatch.domain.answers import (
    CannotStore,
    FetchLater,
    FetchRefused,
    FetchResult,
    Gone,
    NotFound,
    QueryRefused,
    StoredFile,
    TaskReport,
    Unanswered,
)
from seedbatch.domain.errors import Exit, StaleCaller
from seedbatch.domain.jobs import further_names
from seedbatch.domain.work import Delivery, Download, Output
from seedbatch.engine.cadence import backoff
from seedbatch.engine.crew import Crew, Hands, Stop
from seedbatch.engine.happenings import Kind
from seedbatch.engine.way import make_way, make_way_beyond
from seedbatch.ports import DownloadLedger, Provider, Store

# What cannot be had now is looked at once a minute while there is other work, and does not keep a run from ending.
_REFUSALS: Final = 2
_RENEWALS: Final = 3
# A host may say 403 or 404 in error; while the link should still live, it must say so this often and once more.
_GONE_IN_ERROR: Final = 3
_PUT_OFF: Final = timedelta(minutes=1)
_LOCAL_FAILURES_IN_A_ROW: Final = 3


class Downloader:
    """Fetches claimed deliveries, earliest expiry first."""

    def __init__(self, crew: Crew, ledger: DownloadLedger, provider: Provider, store: Store, hands: Hands) -> None:
        self._crew = crew
        self._ledger = ledger
        self._provider = provider
        self._store = store
        self.hands = hands
        self.over = False
        self.left: set[int] = set()
        self._not_storable: set[int] = set()  # jobs in a row; the same one again is no news of the folder

    async def look(self, now: datetime) -> datetime | None:
        """Begin what is due; returns when to look again."""
        if self.over or self._crew.halted or self.hands.free <= 0:
            return None
        if waits := self._crew.deliveries.waits(now):
            return waits
        deliveries, due = await self._ledger.claim_deliveries(self._crew.scope, now, self.hands.free)
        for delivery in deliveries:
            self.hands.begin(self._deliver(delivery))
        return self._crew.deliveries.took(now, due)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await make_way_beyond(
                *(self._ledger, self._store, self._crew.clock, delivery.job_id, delivery.output, delivery.offered)
            )
            for output in delivery.outputs:
                result = await self._fetch(delivery, output)
                if isinstance(result, Gone | FetchRefused):
                    result = await self._fetch_renewed(delivery, output, result)
                if not await self._record(delivery, output, result):
                    return
        except StaleCaller:
            return  # another process, or a person, was faster
        except asyncio.CancelledError:
            now = self._crew.now()
            with suppress(StaleCaller):  # it was recorded in the very moment of the interruption
                await self._ledger.fetch_later(delivery.attempt_id, "interrupted", now, now)
            raise
        finally:
            self._crew.deliveries.stir()

    async def _fetch(self, delivery: Delivery, output: Output) -> FetchResult:
        name = further_names(delivery.output, output.position)[-1]
        try:
            await make_way(self._ledger, self._store, self._crew.clock, delivery.job_id, name)
        except OSError as error:
            return CannotStore(f"the file of an earlier revision cannot be moved aside: {error}")
        part = f"{delivery.attempt_id}-{output.position}"
        sidecar = {**delivery.sidecar, "position": output.position}
        return await self._store.fetch(Download(output.url, name, delivery.kind, part, sidecar))

    async def _fetch_renewed(self, delivery: Delivery, output: Output, result: Gone | FetchRefused) -> FetchResult:
        """Ask for fresh links and try those; whether the provider gives any is not documented (contract, 4.4)."""
        if delivery.renewals >= _RENEWALS:
            return result
        match await self._provider.query(delivery.task_id):
            case TaskReport(urls=urls) as report if len(urls) >= output.position:
                fresh = urls[output.position - 1]
                if fresh == output.url:
                    return result
                await self._ledger.renewed(delivery.attempt_id, report, self._crew.now())
                return await self._fetch(delivery, Output(output.position, fresh))
            case TaskReport() | NotFound():
                return result
            case Unanswered() | QueryRefused():
                return FetchLater(result.cause)

    async def _record(self, delivery: Delivery, output: Output, result: FetchResult) -> bool:
        match result:
            case StoredFile():
                await self._stored(delivery, output, result)
                return True
            case Gone() if delivery.gone < _GONE_IN_ERROR and self._crew.now() < delivery.expires_at:
                await self._later(delivery, result.cause, None, gone=True)
            case Gone():
                await self._expire(delivery, result.cause)
            case FetchLater():
                await self._later(delivery, result.cause, result.retry_after)
            case FetchRefused():
                await self._refused(delivery, result.cause)
            case CannotStore():
                await self._cannot(delivery, result.cause)
            case _:
                assert_never(result)
        return False

    async def _stored(self, delivery: Delivery, output: Output, file: StoredFile) -> None:
        self._not_storable.clear()
        last = await self._ledger.stored(delivery.attempt_id, output.position, file, self._crew.now())
        self._crew.report(
            Kind.STORED,
            delivery.name,
            position=output.position,
            path=file.path,
            bytes=file.bytes,
            sha256=file.sha256,
        )
        if last:
            self.left.discard(delivery.job_id)
            self._crew.shares.stir()
            self._crew.report(Kind.COMPLETED, delivery.name, task_id=delivery.task_id, path=file.path)

    async def _expire(self, delivery: Delivery, cause: str) -> None:
        await self._ledger.expired(delivery.attempt_id, cause, self._crew.now())
        self.left.discard(delivery.job_id)
        self._crew.report(Kind.EXPIRED, delivery.name, reason=cause)

    async def _later(self, delivery: Delivery, cause: str, retry_after: float | None, *, gone: bool = False) -> None:
        now = self._crew.now()
        wait = backoff(delivery.misses + 1)
        if retry_after is not None:
            wait = max(wait, timedelta(seconds=retry_after))
        await self._ledger.fetch_later(delivery.attempt_id, cause, now, now + wait, gone=gone)
        self._crew.report(Kind.NOT_FETCHED, delivery.name, reason=cause)

    async def _refused(self, delivery: Delivery, cause: str) -> None:
        if delivery.misses < _REFUSALS:
            await self._later(delivery, cause, None)
            return
        await self._put_off(delivery, cause)
        reason = f"what the provider offers for {delivery.name} must not be taken: {cause}"
        self._crew.stop(Stop(Exit.PROVIDER, reason, "see seedbatch show, and try again before the link dies"))

    async def _cannot(self, delivery: Delivery, cause: str) -> None:
        await self._put_off(delivery, cause)
        self._not_storable.add(delivery.job_id)
        self.over = len(self._not_storable) >= _LOCAL_FAILURES_IN_A_ROW
        reason = f"{delivery.name} cannot be stored: {cause}"
        self._crew.stop(Stop(Exit.RUNNING, reason, "make room for it, then apply again before the link dies"))

    async def _put_off(self, delivery: Delivery, cause: str) -> None:
        now = self._crew.now()
        await self._ledger.fetch_later(delivery.attempt_id, cause, now, now + _PUT_OFF)
        self.left.add(delivery.job_id)
        self._crew.report(Kind.NOT_FETCHED, delivery.name, reason=cause)
