"""What the engine needs from the world.

Every verb of the ledger is one transaction, durable when it returns, and refuses a stale caller
(`StaleCaller`, nothing written). Moments are aware datetimes, durations are seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from seedbatch.domain.answers import Evidence, FetchResult, QueryAnswer, StoredFile, SubmitAnswer, TaskReport
from seedbatch.domain.attempts import Origin, RecordedAttempt
from seedbatch.domain.calls import Binding, Bound, Call, Hint, Verdict
from seedbatch.domain.difference import Known, Name
from seedbatch.domain.jobs import BatchSpec, Limits, Wish
from seedbatch.domain.locked import Found, Locked
from seedbatch.domain.progress import Progress
from seedbatch.domain.records import (
    Accounts,
    BatchTally,
    ExtraTask,
    History,
    Identity,
    Notable,
    Occurrence,
    Paid,
    Pulse,
    RecordedJob,
    Sharer,
    Standings,
)
from seedbatch.domain.runs import Beginning, Bill, Move, RecordedRun
from seedbatch.domain.selection import Choice
from seedbatch.domain.states import JobState
from seedbatch.domain.tokens import Mint
from seedbatch.domain.work import (
    Caps,
    Claim,
    Delivery,
    Download,
    Failure,
    JobName,
    Occupant,
    Relocation,
    RunningTask,
    Share,
    SharedFile,
    Submission,
)

Scope = Collection[str] | None  # names of batches; None means all


class Clock(Protocol):
    """The wall clock."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""
        ...


class Provider(Protocol):
    """The remote service. Its methods return every outcome as a value and raise only when cancelled."""

    async def submit(self, submission: Submission) -> SubmitAnswer:
        """POST one request, once.

        If cancelled after the first byte may have left, raises `CancelledError`; before that, it is `NotSent`.
        """
        ...

    async def query(self, task_id: str) -> QueryAnswer:
        """Ask for one task; free, and may be repeated."""
        ...

    def hint(self, body: bytes) -> Hint:
        """What a callback's body says: never believed, only asked about."""
        ...


class Store(Protocol):
    """The output folder."""

    async def fetch(self, download: Download) -> FetchResult:
        """Bring one file to disk, whole and verified, or not at all.

        A file that an earlier try finished (its sidecar says so and its hash agrees) is returned without a request.
        """
        ...

    async def share(self, file: SharedFile, download: Download) -> FetchResult:
        """Give a file that is on disk already a second name, linked or else copied, if it is what it was.

        Of `download` all but the URL counts. A file that an earlier try finished is returned.
        """
        ...

    async def give_way(self, path: str, revision: int, tries: int = 1) -> str:
        """Link `path` and its sidecar to `<name>.rev<revision>.<ext>`; returns that relative path.

        From the second try on the name is `<name>.rev<revision>.try<tries>.<ext>`.
        """
        ...

    async def relocate(self, one: Relocation) -> None:
        """Move a file and its sidecar to another path of their folder; may be repeated.

        Raises:
            FileNotFoundError: it lies at neither.
            FileExistsError: something else has the new path.
            OSError: the folder cannot be written.
        """
        ...

    async def release(self, path: str) -> None:
        """Remove the name `path` (and its sidecar's) that `give_way` left behind, once the ledger knows the new one."""
        ...


class SubmitLedger(Protocol):
    """What the submit role asks of the ledger."""

    async def doubts_in_a_row(self) -> int:
        """How many of the latest answers to submissions, of all processes, were doubtful ones without any other."""
        ...

    async def claim_submissions(
        self, scope: Scope, limits: Limits, caps: Caps, now: datetime, most: int, mint: Mint | None = None
    ) -> Claim:
        """Move up to `most` pending jobs to submitting, each with a new attempt and its price reserved.

        Within the limits, the budgets and the moderation brake, which hold over all processes. `mint` makes each
        attempt's callback address; None where no callback can come.
        """
        ...

    async def accepted(self, attempt_id: int, task_id: str, now: datetime, query_at: datetime) -> Binding:
        """The provider's answer named the task: running. Also for an attempt that fell in doubt meanwhile.

        In doubt it is, and stays, if another attempt already holds that task. If a person settled the attempt before
        this answer came, the task is written down, its price counts again, and the job stays where it is. If a
        callback named this task before, nothing changes; if it named another, this one is extra.

        Raises:
            LedgerError: not in the ledger, but kept beside it, and read when the ledger is opened again.
        """
        ...

    async def not_sent(self, attempt_id: int, cause: str, now: datetime, not_before: datetime) -> None:
        """Nothing left: pending again, not before a moment. The attempt does not count as a try."""
        ...

    async def throttled(self, attempt_id: int, cause: str, now: datetime, not_before: datetime) -> None:
        """Explicitly not accepted for now: pending again. The attempt does not count as a try."""
        ...

    async def turned_away(self, attempt_id: int, cause: str, now: datetime) -> None:
        """Refused for the account's sake (key, credits, address): pending again, untouched."""
        ...

    async def refused(self, attempt_id: int, failure: Failure, evidence: Evidence, now: datetime) -> None:
        """Refused for the request's sake: failed, nothing was charged."""
        ...

    async def doubted(self, attempt_id: int, cause: str, evidence: Evidence, now: datetime) -> None:
        """May have been accepted: in doubt."""
        ...


class Inbox(Protocol):
    """What the receiver asks of the ledger."""

    async def receive(self, token: str, body: bytes, now: datetime) -> None:
        """Keep what came at a token, given as its digest. The same body again is kept already.

        Raises:
            InboxFull: too many different bodies came at this token.
        """
        ...

    async def open_tokens(self) -> frozenset[str]:
        """The digests of the tokens of all unfinished attempts."""
        ...


class HearLedger(Protocol):
    """What the hear role asks of the ledger."""

    async def claim_calls(self, now: datetime, most: int, gap: timedelta) -> tuple[list[Call], datetime | None]:
        """Up to `most` callbacks that nobody has read, of each token one in `gap`; and when the next is due."""
        ...

    async def read(self, call: Call, verdict: Verdict, task_id: str | None, reason: str, now: datetime) -> None:
        """A callback has been read, and changes nothing."""
        ...

    async def read_later(self, call: Call, task_id: str, cause: str, at: datetime) -> None:
        """The query about what a callback says had no usable answer: one more miss, read again at a moment."""
        ...

    async def heard(self, call: Call, now: datetime) -> None:
        """A callback says that the task of an attempt has ended: it is asked about now."""
        ...

    async def named(self, call: Call, task_id: str, now: datetime) -> Bound:
        """A query confirmed the task that a callback names for its attempt: it is written down where it belongs.

        A task that runs from now on is claimed: the caller reports what the query said of it.
        """
        ...


class CollectLedger(Protocol):
    """What the collect role asks of the ledger."""

    async def durations(self, most: int) -> Mapping[str, Sequence[float]]:
        """How many seconds the latest `most` tasks took, by model, the latest first."""
        ...

    async def uncalled(self, attempt_ids: Collection[int]) -> int:
        """At how many of these attempts' tokens nothing came."""
        ...

    async def claim_queries(self, scope: Scope, now: datetime, most: int) -> tuple[list[RunningTask], datetime | None]:
        """Up to `most` running tasks whose query is due and about which nobody is asking.

        Also returns when the next one is due.
        """
        ...

    async def still_running(self, attempt_id: int, status: str, now: datetime, query_at: datetime) -> None:
        """Not terminal: ask again at `query_at`."""
        ...

    async def unanswered(self, attempt_id: int, cause: str, now: datetime, query_at: datetime) -> None:
        """No usable answer: one more miss, ask again at `query_at`."""
        ...

    async def empty(self, attempt_id: int, status: str, now: datetime, query_at: datetime) -> None:
        """Success, but no output is offered yet: ask again at `query_at`."""
        ...

    async def succeeded(self, attempt_id: int, report: TaskReport, now: datetime, expires_at: datetime) -> None:
        """Terminal success with outputs: succeeded."""
        ...

    async def task_failed(
        self, attempt_id: int, failure: Failure, report: TaskReport, now: datetime, retry_at: datetime | None
    ) -> None:
        """Terminal failure: failed, and with `retry_at` pending again from then on.

        A moderated task is a violation of the UTC day of the provider's own clock.
        """
        ...


class DownloadLedger(Protocol):
    """What the download role asks of the ledger."""

    async def claim_deliveries(self, scope: Scope, now: datetime, most: int) -> tuple[list[Delivery], datetime | None]:
        """Up to `most` succeeded jobs that nobody is downloading, earliest expiry first; and when the next is due."""
        ...

    async def stored(self, attempt_id: int, position: int, file: StoredFile, now: datetime) -> bool:
        """One file is on disk. Returns True if it was the last one: completed."""
        ...

    async def fetch_later(
        self, attempt_id: int, cause: str, now: datetime, not_before: datetime, *, gone: bool = False
    ) -> None:
        """Not this time: still succeeded, one more miss."""
        ...

    async def renewed(self, attempt_id: int, report: TaskReport, now: datetime) -> None:
        """A new query offers the outputs at new URLs; the caller keeps its claim on the job."""
        ...

    async def expired(self, attempt_id: int, cause: str, now: datetime) -> None:
        """The outputs are gone."""
        ...

    async def occupant(self, job_id: int, stem: str) -> Occupant | None:
        """The file that stands at the relative path `stem` plus an extension, and makes way for one of this job's.

        It is another revision's, an earlier try's, or that of a source that is wanted no longer.
        """
        ...

    async def moved(self, artifact_id: int, path: str, now: datetime) -> None:
        """A file that made way has a new name."""
        ...


class ReuseLedger(Protocol):
    """What the reuse role asks of the ledger."""

    async def find_shares(self, scope: Scope, now: datetime) -> None:
        """Let every pending job share a task that was paid for, if there is one; a claim does so for those it meets."""
        ...

    async def claim_shares(
        self, scope: Scope, now: datetime, most: int, besides: Collection[int]
    ) -> tuple[list[Share], int]:
        """Up to `most` jobs whose source is completed, without those in `besides`.

        Those whose source came to nothing share no longer, and are free to be sent: how many that were.
        """
        ...

    async def waiting(self, scope: Scope) -> int:
        """How many pending jobs share a task: of a source that is not completed, or whose files are not linked.

        Those count as well that others paid for.
        """
        ...

    async def lock_in(self, tasks: Sequence[Found]) -> None:
        """These requests were paid for by others: they are not sent, and completed with the files that are given."""
        ...

    async def held(self, scope: Scope) -> int:
        """How many pending jobs are not sent because others paid for their request, and have no files here."""
        ...

    async def linked(self, share: Share, files: Sequence[StoredFile], now: datetime) -> bool:
        """The files of the source lie at the job's own paths as well, in their order: completed.

        False if a path is the source's own: then nothing is recorded.
        """
        ...


class RelocateLedger(Protocol):
    """What the relocate role asks of the ledger: files follow where manifests that were declared here want them."""

    async def claim_relocations(self, most: int) -> tuple[list[Relocation], int]:
        """Up to `most` files whose new path nobody has; and how many wait for other files to go first.

        Before them those that a dead process had moved to where nobody wants them any more: they go back.
        Nothing where another process is moving files: one at a time, so that none takes a path for its own that the
        other has given away.
        """
        ...

    async def claim_waypoint(self) -> Relocation | None:
        """One of the files that wait for one another in a circle, on a path that nobody wants; None if none waits."""
        ...

    async def relocated(self, one: Relocation, now: datetime) -> None:
        """It lies at its new path."""
        ...

    async def stays(self, one: Relocation) -> None:
        """It cannot be moved in this run."""
        ...


class WordLedger(Protocol):
    """A person's word on a job; `by` tells whose, and stands in the event."""

    async def adopted(self, job_id: int, task_id: str, by: str, now: datetime) -> None:
        """The task of an in-doubt attempt is this one: running."""
        ...

    async def given_up(self, job_id: int, by: str, now: datetime) -> None:
        """An in-doubt attempt made no task: failed as lost, and its money is free."""
        ...

    async def resubmitted(self, job_id: int, by: str, now: datetime) -> None:
        """An in-doubt job may be sent again, and may be billed twice: pending, its earlier price stays reserved."""
        ...

    async def retried(self, job_id: int, by: str, now: datetime) -> None:
        """A failed, expired or abandoned job is wanted again: pending."""
        ...

    async def abandoned(self, job_id: int, by: str, now: datetime) -> None:
        """An unfinished job is no longer wanted: nobody asks about it; what it may cost stays counted."""
        ...


class RunLedger(Protocol):
    """What a run says of itself: once when it begins its work, once when it has ended."""

    async def began(self, beginning: Beginning, now: datetime) -> None:
        """This process begins its work: what it submits from now on is told of it."""
        ...

    async def ended(self, code: int, did: Mapping[str, int], now: datetime) -> None:
        """It has done its work, with this exit code; without this word it was killed."""
        ...

    async def bill(self) -> Bill:
        """What this process sent since it began, estimate beside actual."""
        ...


class Ledger(
    RunLedger,
    SubmitLedger,
    Inbox,
    HearLedger,
    CollectLedger,
    DownloadLedger,
    ReuseLedger,
    RelocateLedger,
    WordLedger,
    Protocol,
):
    """The durable record."""

    async def declare(self, batch: BatchSpec, now: datetime) -> None:
        """Record what a manifest wants: new jobs pending, changed ones as the next revision, vanished ones orphans."""
        ...

    async def begin(self, plan: str, generation: int) -> None:
        """Remember that a plan file, given as its digest, is carried out from this generation on.

        Raises:
            StaleCaller: others claimed submissions since.
        """
        ...

    async def choose(self, jobs: Collection[JobName]) -> None:
        """Be about these jobs only, of what a scope names: submit, download and count no others from now on.

        Running tasks are asked about all the same, whoever submitted them. All revisions of a job belong to it.
        """
        ...

    async def rescue(self, now: datetime) -> list[JobName]:
        """Take over what dead processes left: their submissions are in doubt now, their queries and downloads free.

        Returns the jobs that fell in doubt.
        """
        ...

    async def awaited(self, scope: Scope, since: datetime) -> int:
        """How many jobs are in doubt whose callback may still come: submitted after `since`, with a token."""
        ...

    async def tally(self, scope: Scope) -> Sequence[BatchTally]:
        """Counts by state."""
        ...

    async def progress(self, scope: Scope, now: datetime) -> Progress:
        """How far these batches are, and how fast it goes."""
        ...

    async def aclose(self) -> None:
        """Finish what was asked for and close."""
        ...


class Changes(Protocol):
    """What those ask who look on while others write: often, and of a ledger of any size."""

    def pulse(self) -> Pulse:
        """Whether something changed, and how far the events are."""
        ...

    def tally(self, scope: Scope) -> Sequence[BatchTally]:
        """Counts by state of each batch, batches by name."""
        ...

    def present(self, scope: Scope, most: int) -> list[int]:
        """The latest revisions of up to `most` jobs, in the manifest's order.

        Where there are more, those that wait for a person or for their files come before those that changed last.
        """
        ...

    def touched(self, since: int, until: int, scope: Scope, most: int) -> list[int]:
        """Up to `most` revisions that the events behind `since`, up to `until`, tell of."""
        ...

    def family(self, job_ids: Iterable[int]) -> Mapping[int, int]:
        """All revisions of the jobs that these are revisions of, each with its place in the manifest."""
        ...

    def notable(self, since: int, until: int, scope: Scope, most: int) -> list[Notable]:
        """The latest `most` notable events behind `since`, up to `until`, oldest first."""
        ...


class Records(Changes, Protocol):
    """The ledger for those who only read; never blocked by a writer, never blocking one."""

    def identity(self) -> Identity:
        """Which ledger it is, whose tasks it holds, and how far it went."""
        ...

    def manifests(self) -> Mapping[str, str]:
        """Where each batch was declared when it was last applied: paths as they were given, joined by commas."""
        ...

    def known(self, batch: str, besides: Container[int]) -> Iterator[Known]:
        """The recorded revisions of a batch, as the difference wants them, without the current ones in `besides`."""
        ...

    def revisions(self, batch: str, names: Iterable[Name]) -> list[Known]:
        """All recorded revisions of the jobs of a batch with these names: base and take."""
        ...

    def paid(self, wishes: Collection[Wish]) -> Mapping[Wish, Paid]:
        """For each of these wishes whose request was paid for, the job whose task would be shared."""
        ...

    def delivered(self, batch: str) -> Iterable[Locked]:
        """What this ledger has on disk for a batch, all revisions: the lines of its lock file."""
        ...

    def stuck(self, scope: Scope, most: int) -> list[Sharer]:
        """Up to `most` pending jobs that share a task which a run over `scope` does not bring to an end."""
        ...

    def details(self, job_ids: Iterable[int]) -> Mapping[int, RecordedJob]:
        """These revisions, by their row's number."""
        ...

    def find(self, name: str) -> list[RecordedJob]:
        """The revisions of the jobs that `name` means: an address, or `batch/address`; latest revision last."""
        ...

    def jobs(self, scope: Scope = None) -> Iterable[RecordedJob]:
        """Every revision of every job, in the manifest's order."""
        ...

    def select(self, choice: Choice, scope: Scope = None, states: Collection[JobState] = ()) -> Iterable[RecordedJob]:
        """Every revision that is chosen, of these batches and in one of these states (if any), in the manifest's order.

        Raises:
            UsageError: no job has an axis, a var or a parameter that the choice names.
        """
        ...

    def histories(self, job_ids: Iterable[int]) -> Mapping[int, History]:
        """Axes, attempts and moments of these revisions, by their row's number."""
        ...

    def standings(self, now: datetime, risk: float) -> Standings:
        """Counts, in-doubt jobs, and results whose link dies within `risk` seconds."""
        ...

    def accounts(self, now: datetime) -> Accounts:
        """What may be owed, and what moderation has taken."""
        ...

    def extras(self) -> Sequence[ExtraTask]:
        """All tasks beyond those of their submissions, as they were found."""
        ...

    def progress(self, now: datetime, scope: Scope = None) -> Progress:
        """How far these batches are, and how fast it goes."""
        ...

    def version(self) -> int:
        """A number that is another one once somebody wrote since it was last asked for."""
        ...

    def story(self, job_id: int) -> list[Occurrence]:
        """All events of a job, oldest first."""
        ...

    def origin(self, job_id: int) -> Origin:
        """Where a revision is wanted, and since when."""
        ...

    def attempts(self, job_id: int) -> Sequence[RecordedAttempt]:
        """Every try at a revision, the first one first."""
        ...

    def runs(self, most: int) -> Sequence[RecordedRun]:
        """The latest `most` runs, newest first."""
        ...

    def run(self, number: int) -> RecordedRun | None:
        """One run by its number; None if there is none."""
        ...

    def moves(self, one: int, two: int, scope: Scope) -> Iterable[Move]:
        """Which jobs of some batches were wanted at one event of the ledger and not at the other, or in another way."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
