"""What facts about a run's surroundings amount to: pure, one function a check, in the order in which they are told."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Final, assert_never

from seedbatch.domain.answers import NotFound, QueryAnswer, QueryRefused, Refusal, TaskReport, Unanswered
from seedbatch.domain.errors import Exit
from seedbatch.domain.health import Arrival, Check, Contact, Descriptors, Ground, Health, LedgerState, Locking, Trip

_GIB: Final = 1024**3
_MIB: Final = 1024**2
_LITTLE_ROOM: Final = _GIB
_NO_ROOM: Final = 100 * _MIB

# Seconds. Violations and budgets are counted by UTC days, links die at moments.
_CLOCK_IS_OFF: Final = 60.0
_CLOCK_IS_WRONG: Final = 600.0

_LOST_COMMITS_UNTIL: Final = (3, 51, 3)  # of SQLite: docs/decisions/0001
_STRICT_TABLES_SINCE: Final = (3, 37, 0)

_PROVIDERS_PATIENCE: Final = 5.0  # seconds that a callback's receiver has (docs: webhook)
_CONNECTIONS: Final = 2_000
_WANTED_DESCRIPTORS: Final = 2_300  # its connections, and the rest of the program

_NETWORKED: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p"})

_UNREACHABLE: Final = (
    "check the URL, and what serves it: docs/webhooks.md. Some routers keep a machine from its own public address: then"
    " try it from outside"
)
_BEHIND_NOTHING: Final = frozenset({502, 503, 504, *range(520, 531)})  # 520 and more: a content network's own


def provider(base_url: str, answer: QueryAnswer) -> Check:
    """Whether the provider answers, and takes the key."""
    match answer:
        case TaskReport() | NotFound():
            return _ok("provider", f"{base_url} answers, and takes the key")
        case QueryRefused(refusal=Refusal.KEY):
            return _problem(
                "provider",
                f"{base_url} refuses the API key",
                "check MAXAPI_API_KEY, and what base URL it is for",
                exit_=Exit.KEY,
            )
        case QueryRefused():
            return _problem(
                "provider", f"there is no such API at {base_url}", "check MAXAPI_BASE_URL", exit_=Exit.PROVIDER
            )
        case Unanswered(retry_after=float()):
            words = f"{base_url} answers, but takes no query now: {answer.cause}"
            return _warning("provider", words, "seedbatch doctor again, later")
        case Unanswered():
            words = f"no usable answer from {base_url}: {answer.cause}"
            return _problem("provider", words, "check the network, and MAXAPI_BASE_URL", exit_=Exit.PROVIDER)
        case _:
            assert_never(answer)


def clock(contact: Contact) -> Check:
    """Whether this machine's clock agrees with the provider's, as well as one answer can tell."""
    if contact.told_at is None:
        silent = isinstance(contact.answer, Unanswered)
        return skipped("clock", f"{'no answer' if silent else 'an answer without a Date'} to compare it with")
    off = _difference(contact.before, contact.after, contact.told_at)
    if abs(off) <= _CLOCK_IS_OFF:
        return _ok("clock", f"agrees with the provider's ({_seconds(off)})" if off else "agrees with the provider's")
    side = "ahead of" if off > 0 else "behind"
    words = f"this machine's clock is {_seconds(off)} {side} the provider's"
    hint = "set it by the network: timedatectl set-ntp true"
    if abs(off) > _CLOCK_IS_WRONG:
        return _problem("clock", f"{words}: budgets, violations and expiries would go wrong", hint)
    return _warning("clock", words, hint)


def _difference(before: datetime, after: datetime, told: datetime) -> float:
    """Seconds by which our clock is ahead. The answer was made between our two moments, and tells whole seconds."""
    ahead, behind = (before - told).total_seconds() - 1, (told - after).total_seconds()
    return ahead if ahead > 0 else -max(0.0, behind)


def sqlite(version: tuple[int, ...]) -> Check:
    """Whether the SQLite that this Python carries will do."""
    number = ".".join(map(str, version))
    if version < _STRICT_TABLES_SINCE:
        words = f"{number} is too old for the ledger, which needs 3.37"
        return _problem("sqlite", words, "use another Python: its SQLite comes with it", exit_=Exit.LEDGER)
    if version < _LOST_COMMITS_UNTIL:
        words = (
            f"{number}; before 3.51.3 a checkpoint can lose another process's commit: seedbatch's own lock keeps them"
            " apart"
        )
        return _ok("sqlite", words)
    return _ok("sqlite", number)


def disk(ledger: Ground, output: Ground) -> Check:
    """Whether there is room for the ledger and for clips."""
    rooms = {"the ledger": ledger, "the clips": output}
    known = {whose: ground.free for whose, ground in rooms.items() if ground.free is not None}
    if not known:
        return skipped("disk", "neither folder can be looked at")
    least = min(known.values())
    if len(known) > 1 and ledger.device == output.device:
        words = f"{_size(least)} free for the ledger and the clips"
    else:
        words = ", ".join(f"{_size(free)} free for {whose}" for whose, free in known.items())
    hint = "make room, or name other places: --ledger FILE, --output-dir DIR"
    if least < _NO_ROOM:
        return _problem("disk", words, hint)
    return _warning("disk", words, hint) if least < _LITTLE_ROOM else _ok("disk", words)


def output(ground: Ground) -> Check:
    """Whether clips can be stored."""
    if ground.trouble:
        words = f"the folder {ground.wanted} cannot be written: {ground.trouble}"
        return _problem("output", words, "choose another one with --output-dir")
    words = f"{ground.wanted} can be written"
    if ground.there != ground.wanted:
        words = f"{ground.wanted} is not there yet, and can be made"
    if ground.links is False:
        words += "; there are no hard links: files get their names by renaming, and earlier revisions are copied"
    return _ok("output", words)


def ledger(state: LedgerState, place: str) -> Check:
    """Whether the ledger can be used. `place` are the flags that name it."""
    if state.trouble:
        return _problem("ledger", state.trouble, state.hint or f"seedbatch ledger check{place}", exit_=Exit.LEDGER)
    if not state.there:
        return _ok("ledger", f"there is none yet at {state.path}: the first apply makes it")
    if state.held:
        words = f"somebody holds the write lock of {state.path} all the time: a stopped process?"
        return _warning("ledger", words, "look for a stopped seedbatch (jobs, ps), and let it go on: fg")
    if state.older:
        words = f"an older seedbatch wrote {state.path}: it is brought up to date when it is next used"
        return _warning("ledger", words, f"to be able to go back: seedbatch ledger backup FILE{place}")
    if state.kept:
        words = f"{_count(state.kept, 'task id')} that {state.path} could not take wait beside it, in its .emergency"
        return _warning("ledger", words, f"they are taken up by: seedbatch collect{place}")
    return _ok("ledger", f"{state.path} opens, and nothing is wrong at first sight (seedbatch ledger check{place})")


def locks(ground: Ground) -> Check:
    """Whether the file locks, by which processes share a ledger, hold in its folder."""
    hint = "keep the ledger on a disk of this machine: --ledger FILE"
    if ground.trouble:
        words = f"nothing can be written where the ledger is: {ground.there or ground.wanted}: {ground.trouble}"
        return _problem("locks", words, "make it writable, or name another place: --ledger FILE", exit_=Exit.LEDGER)
    match ground.locking:
        case Locking.PRETENDS:
            words = f"the file system{_kind(ground)} grants one lock twice: two processes would write at once"
            return _problem("locks", words, hint, exit_=Exit.LEDGER)
        case Locking.LACKING | None:
            words = f"the file system{_kind(ground)} has no file locks"
            return _problem("locks", words, hint, exit_=Exit.LEDGER)
        case Locking.HOLDS:
            pass
        case _:
            assert_never(ground.locking)
    if ground.filesystem in _NETWORKED:
        words = (
            f"the ledger is on a network file system ({ground.filesystem}): a lock holds on this machine, and nobody"
            " can tell whether it does for others"
        )
        return _warning("locks", words, hint)
    return _ok("locks", "a lock in the ledger's folder holds")


def descriptors(limits: Descriptors) -> Check:
    """Whether a listener may have as many connections as it would take."""
    soft, hard = ("no limit" if limit is None else f"{limit:,}" for limit in (limits.soft, limits.hard))
    if limits.hard is None or limits.hard >= _WANTED_DESCRIPTORS:
        enough = limits.soft is None or limits.soft >= _WANTED_DESCRIPTORS
        return _ok("descriptors", soft if enough else f"{soft}, and a listener may raise that to what it needs")
    room = max(1, limits.hard - (_WANTED_DESCRIPTORS - _CONNECTIONS))
    words = f"at most {hard}: a listener takes about {_count(room, 'connection')} at once instead of {_CONNECTIONS:,}"
    return _warning("descriptors", words, "raise the hard limit: ulimit -Hn 4096 as root, or LimitNOFILE=4096")


# -- callbacks --------------------------------------------------------------------------------------------------


def no_public_url(place: str, *, needed: bool) -> Check:
    """What it means that there is none."""
    if not needed:
        return skipped("public_url", "none, and none is needed: the provider is on this machine")
    words = (
        "none: the provider cannot call back. Results are found by asking, which takes longer, and a submission whose"
        " answer is lost stays in doubt until you look it up"
    )
    return skipped("public_url", words, f"docs/webhooks.md has recipes; then seedbatch doctor{place} --public-url URL")


def public_url(url: str, trip: Trip, place: str) -> Check:
    """Whether a callback reaches the listener of this ledger."""
    if trip.status is None:
        hint = _nobody_there(trip, place) if trip.nobody else _UNREACHABLE
        return _problem("public_url", f"{url} cannot be reached: {trip.cause}", hint)
    if trip.status == HTTPStatus.OK:
        return _arrived(url, trip, place)
    return _problem("public_url", *_other_answer(url, trip, place))


def _arrived(url: str, trip: Trip, place: str) -> Check:
    match trip.arrival:
        case Arrival.MISSING:
            words = f"something answers at {url}, but it is not the listener of this ledger"
            hint = f"start seedbatch listen{place} behind it, or name its ledger with --ledger"
            return _problem("public_url", words, "lead it to the address of --bind" if trip.own else hint)
        case Arrival.CHANGED:
            words = f"a callback to {url} arrives, but with another body than was sent"
            return _problem("public_url", words, "let the proxy before the listener pass bodies on as they are")
        case Arrival.KEPT:
            whose = "this machine" if trip.own else "the listener of this ledger"
            words = f"{url} reaches {whose}: a test callback was kept in {trip.seconds:.1f} s"
        case _:
            assert_never(trip.arrival)
    if trip.seconds > _PROVIDERS_PATIENCE:
        words = f"{words}; the provider waits no longer than {_PROVIDERS_PATIENCE:.0f} s"
        return _warning("public_url", words, "look for what is slow between there and here")
    return _ok("public_url", words)


def _other_answer(url: str, trip: Trip, place: str) -> tuple[str, str]:
    """Words and hint for an answer that no listener of this ledger gives."""
    said = f"{url} answers HTTP {trip.status}"
    match trip.status:
        case HTTPStatus.NOT_FOUND if trip.own:
            return f"{said}: it leads to another server than to this one", "lead it to the address of --bind"
        case HTTPStatus.NOT_FOUND:
            words = f"{said}: a listener of another API key is there, or another server"
            return words, f"start seedbatch listen{place} behind it, with the key that submits"
        case int(status) if status in _BEHIND_NOTHING:
            words = f"{said}: something stands before the listener, and no working listener behind it"
            return words, _nobody_there(trip, place)
        case int(status) if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return f"{said}, a redirect: a callback does not follow it", "name the URL that it leads to"
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            words = f"{said}: something before the listener lets nobody in"
            return words, "let POST /callbacks/ pass there without a login"
        case _:
            return f"{said}, and a listener answers 200", "look at what stands before the listener: docs/webhooks.md"


def _nobody_there(trip: Trip, place: str) -> str:
    if trip.own:
        return "does the tunnel or proxy run, and lead to the address of --bind? docs/webhooks.md"
    return f"start seedbatch listen{place}, or let doctor listen itself: --bind 127.0.0.1:8787"


def callbacks(state: LedgerState, place: str, *, tested: bool) -> Check:
    """Whether callbacks came so far. `tested`: the public URL was tried just now."""
    if state.called is None or state.uncalled is None:
        return skipped("callbacks", "no ledger to look into")
    results = state.called + state.uncalled
    if not results:
        return _ok("callbacks", "no result so far was to be announced by one")
    if not state.called:
        words = f"{_count(results, 'result')} came, and no callback ever did"
        hint = f"seedbatch doctor{place} --public-url URL tests whether the provider can reach you"
        return _warning("callbacks", words, "see public_url above" if tested else hint)
    if not state.uncalled:
        return _ok("callbacks", f"{_count(results, 'result')} came, each with its callback")
    return _ok("callbacks", f"{_count(results, 'result')} came, {state.uncalled:,} of them without a callback")


# -- checks and words -------------------------------------------------------------------------------------------


def skipped(name: str, words: str, hint: str = "") -> Check:
    """What could not be looked at, or need not be."""
    return Check(name, Health.SKIPPED, words, hint)


def _ok(name: str, words: str) -> Check:
    return Check(name, Health.OK, words)


def _warning(name: str, words: str, hint: str) -> Check:
    return Check(name, Health.WARNING, words, hint)


def _problem(name: str, words: str, hint: str, *, exit_: Exit = Exit.USAGE) -> Check:
    return Check(name, Health.PROBLEM, words, hint, exit_)


def _size(size: int) -> str:
    return f"{size / _GIB:,.1f} GiB" if size >= _GIB else f"{size // _MIB} MiB"


def _seconds(difference: float) -> str:
    return f"{abs(difference):,.0f} s"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def _kind(ground: Ground) -> str:
    return f" ({ground.filesystem})" if ground.filesystem else ""
