"""The composition root: the only place that names a ledger, a provider, a store and a sandbox."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from seedbatch.domain.answers import Unanswered
from seedbatch.domain.errors import LedgerError, UsageError
from seedbatch.domain.health import NOBODY, Contact, Survey
from seedbatch.domain.jobs import DEFAULT_LIMITS, SANDBOX_LIMITS, Limits
from seedbatch.domain.locked import LockedFile
from seedbatch.domain.records import Identity
from seedbatch.domain.secret import Secret
from seedbatch.domain.tokens import Mint, TokenKey, minting
from seedbatch.ports import Ledger, Provider, Records, Store
from seedbatch.settings import Settings

if TYPE_CHECKING:
    from seedbatch.ledger.care import Examination
    from seedbatch.ledger.rebuild import Rebuilt
    from seedbatch.sandbox import FaultPlan


class WallClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Plant:
    """Everything that a run works with. `address` is where the provider is."""

    ledger: Ledger
    provider: Provider
    store: Store
    clock: WallClock
    address: str


def open_records(settings: Settings) -> Records | None:
    """The ledger for reading; None if there is none yet.

    Raises:
        LedgerError: it cannot be read, or it belongs to the sandbox and the provider is real, or the reverse.
    """
    from seedbatch.ledger.reader import SqliteRecords

    try:
        if not settings.ledger.exists():
            return None
    except OSError as error:
        raise LedgerError(f"the ledger {settings.ledger} cannot be opened: {error.strerror or error}") from error
    records = SqliteRecords(settings.ledger)
    if records.older:
        from seedbatch.ledger.opening import bring_up_to_date

        records.close()
        bring_up_to_date(settings.ledger)
        records = SqliteRecords(settings.ledger)
    if (kind := records.identity().kind) != _kind(settings):
        records.close()
        way = "add --sandbox" if kind == "sandbox" else "leave --sandbox out"
        raise LedgerError(f"{settings.ledger} is a ledger of the {kind} provider", hint=f"{way}, or name another one")
    return records


def identity_of(settings: Settings, records: Records | None) -> Identity:
    """Which ledger these are the records of; one that is still to be made has no id."""
    return Identity(_kind(settings)) if records is None else records.identity()


def refuse_a_lost_ledger(settings: Settings) -> None:
    """Nothing is planned or submitted where a ledger was lost.

    Raises:
        LedgerError: its mark lies there, and it does not.
    """
    from seedbatch.ledger.mark import check_gone

    if not settings.ledger.exists():
        check_gone(settings.ledger, _kind(settings))


def ceilings(settings: Settings, manifest: Limits) -> Limits:
    """The strictest ceilings that the settings and the manifest name, with the defaults where none is named."""
    defaults = SANDBOX_LIMITS if settings.sandbox else DEFAULT_LIMITS
    return settings.limits.strictest(manifest).or_else(defaults)


def sandbox_file(settings: Settings) -> Path:
    """Where the sandbox keeps tasks and bill: beside the ledger, so that both outlive a process together."""
    return settings.ledger.with_name(f"{settings.ledger.stem}-provider.db")


def taken_names(settings: Settings) -> Callable[[Iterable[str]], list[str]]:
    """Tells at which output names files lie already."""
    from seedbatch.artifacts import shelf

    return partial(shelf.taken, settings.output_dir)


def shared_files(settings: Settings) -> Callable[[LockedFile], str | None]:
    """Finds a file by its content, in the folder of clips of others and in the output folder."""
    from seedbatch.artifacts.shared import SharedFolders

    folders = [settings.output_dir] if settings.shared is None else [settings.shared, settings.output_dir]
    return SharedFolders(folders).find


def check_output(settings: Settings) -> None:
    """Make the output folder and try to write there.

    Raises:
        UsageError: it cannot be written.
    """
    from seedbatch.artifacts import shelf

    shelf.check(settings.output_dir)


@asynccontextmanager
async def open_plant(settings: Settings, key: Secret) -> AsyncIterator[Plant]:
    """Open the ledger for writing, the provider (in the sandbox: start it) and the store; close them in order.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    from seedbatch.artifacts.store import ArtifactStore
    from seedbatch.ledger.sqlite import SqliteLedger
    from seedbatch.provider.http import MaxApi

    clock = WallClock()
    async with AsyncExitStack() as stack:
        ledger = SqliteLedger(settings.ledger, kind=_kind(settings), folder=settings.output_dir, now=clock.now())
        stack.push_async_callback(ledger.aclose)
        address = await _start_sandbox(settings, stack) if settings.sandbox else settings.base_url
        provider = await stack.enter_async_context(
            MaxApi(address, key, queries_per_second=settings.queries_per_second, clock=clock)
        )
        origins = settings.allow_origins | _own_origin(address)
        store = await stack.enter_async_context(ArtifactStore(settings.output_dir, allow_origins=origins))
        yield Plant(ledger, provider, store, clock, address)


def mint_for(public_url: str, key: Secret) -> Mint:
    """Makes the callback addresses of attempts, below the URL at which the world reaches a listener."""
    return minting(public_url, TokenKey(key), secrets.token_bytes)


@asynccontextmanager
async def open_ledger(settings: Settings) -> AsyncIterator[tuple[Ledger, WallClock]]:
    """The ledger alone, for a person's word.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    from seedbatch.ledger.sqlite import SqliteLedger

    clock = WallClock()
    ledger = SqliteLedger(settings.ledger, kind=_kind(settings), folder=settings.output_dir, now=clock.now())
    try:
        yield ledger, clock
    finally:
        await ledger.aclose()


async def serve_sandbox(
    path: Path,
    host: str,
    port: int,
    *,
    speed: float,
    faults: Path | None,
    on_ready: Callable[[str], None],
    internal_callbacks: bool = False,
) -> None:
    """Run the sandbox until cancelled; with `internal_callbacks` it calls internal addresses back too.

    Raises:
        UsageError: the fault plan is wrong, or the address cannot be listened at.
    """
    from seedbatch.sandbox import serve

    plan = _fault_plan(faults)
    try:
        await serve(
            path, host, port, speed=speed, faults=plan, on_ready=on_ready, internal_callbacks=internal_callbacks
        )
    except OSError as error:
        raise UsageError(f"the sandbox cannot listen at {host}:{port}: {error.strerror or error}") from error


async def _start_sandbox(settings: Settings, stack: AsyncExitStack) -> str:
    from seedbatch.sandbox import Sandbox

    plan = _fault_plan(settings.sandbox_faults)
    sandbox = Sandbox(sandbox_file(settings), speed=settings.sandbox_speed or 1.0, faults=plan, internal_callbacks=True)
    address = await sandbox.start()
    stack.push_async_callback(sandbox.stop)
    return address


def _fault_plan(path: Path | None) -> FaultPlan | None:
    from seedbatch.sandbox import FaultPlan

    if path is None:
        return None
    try:
        return FaultPlan.from_yaml(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"the fault plan {path} cannot be used: {error}") from error


def _kind(settings: Settings) -> Literal["real", "sandbox"]:
    return "sandbox" if settings.sandbox else "real"


def _own_origin(address: str) -> frozenset[str]:
    """The API's own origin where that is loopback: the one private address that results may come from unasked."""
    split = urlsplit(address)
    if split.hostname not in {"127.0.0.1", "::1", "localhost"}:
        return frozenset()
    port = split.port or (443 if split.scheme == "https" else 80)
    host = f"[{split.hostname}]" if ":" in (split.hostname or "") else split.hostname
    return frozenset({f"{split.scheme}://{host}:{port}"})


def examine_ledger(settings: Settings, *, files: bool, accept_as: str | None) -> Examination:
    """Everything that is wrong with the ledger, and with `files` with the clips that it tells of.

    `accept_as` is a person who takes its rows as they are.

    Raises:
        LedgerError: it is no ledger, or a newer one; or what is wrong cannot be accepted.
    """
    from seedbatch.ledger.care import examine

    return examine(settings.ledger, files=files, accept_as=accept_as, now=WallClock().now())


def backup_ledger(settings: Settings, target: Path) -> int:
    """Copy the ledger to a new file while others use it; returns its bytes.

    Raises:
        UsageError: the file is there already, or cannot be made.
        LedgerError: there is no ledger, or it or its copy is not sound.
    """
    from seedbatch.ledger.backup import backup

    return backup(settings.ledger, target)


def rebuild_ledger(settings: Settings) -> Rebuilt:
    """Record in a lost or older ledger what the files in the output folder tell.

    Raises:
        UsageError: there is neither a ledger nor a file that tells of one.
        LedgerError: somebody uses it, or it cannot be used.
    """
    from seedbatch.ledger.rebuild import rebuild

    return rebuild(settings.ledger, kind=_kind(settings), folder=settings.output_dir, now=WallClock().now())


_PATIENCE: Final = 10.0  # seconds of silence after which `doctor` gives the provider up


def survey(settings: Settings) -> Survey:
    """Everything that `doctor` can tell of this machine and the ledger, without making or changing either."""
    import sqlite3

    from seedbatch.ledger.inspection import inspect
    from seedbatch.machine import descriptors, try_out

    return Survey(
        sqlite=sqlite3.sqlite_version_info,
        ledger=inspect(settings.ledger, _kind(settings)),
        ledger_ground=try_out(settings.ledger.parent),
        output_ground=try_out(settings.output_dir),
        descriptors=descriptors(),
    )


async def ask_provider(settings: Settings, key: Secret) -> Contact:
    """One free query about a task that nobody has."""
    from seedbatch.provider.http import MaxApi

    clock = WallClock()
    before = clock.now()
    try:
        provider = MaxApi(settings.base_url, key, queries_per_second=None, query_timeout=_PATIENCE, clock=clock)
    except ValueError:  # a host that no name server would be asked for
        return Contact(Unanswered("that is no URL which can be asked"), None, before, before)
    async with provider:
        answer = await provider.query(NOBODY)
        return Contact(answer, provider.told_at, before, clock.now())


def received(settings: Settings, digest: str) -> bytes | None:
    """The body that came at a token of this ledger's listener, given as its digest; None if none came."""
    from seedbatch.ledger.inspection import received

    return received(settings.ledger, digest)
