"""One thread that writes, and commits whatever queued up while it was committing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from seedbatch.domain.errors import LedgerDamaged, LedgerError, SeedbatchError
from seedbatch.ledger.checksums import ALTERED
from seedbatch.ledger.locks import WriteLock

T = TypeVar("T")
Verb = Callable[[sqlite3.Connection], T]

_MOST_PER_COMMIT: Final = 500  # larger commits only add delay: 60 ms at 1,000
_COMMITS_PER_CHECKPOINT: Final = 1_000


@dataclass(slots=True)
class _Order:
    verb: Verb[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None
    committed: bool = False


class Writer:
    """Runs verbs in the order they came, many in one synced commit.

    A verb may be run twice if another one in its commit was refused; only what is committed counts. So it must be able
    to read its arguments twice: no iterators.

    The connection is opened by `connect` inside the thread and belongs to it.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], lock: WriteLock) -> None:
        self._connect = connect
        self._lock = lock
        self._queue: SimpleQueue[_Order | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bug: Exception | None = None

    @property
    def is_broken(self) -> bool:
        """Whether a bug has ended it: no verb is begun any more."""
        return self._bug is not None

    async def run(self, verb: Verb[T]) -> T:
        """Carry out `verb` in a transaction; durable when this returns.

        A cancelled caller leaves the verb in the queue: what was asked of the ledger is written.

        Raises:
            LedgerError: nothing was written.
        """
        if self._bug is not None:
            raise self._bug
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            self._thread.start()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Order(verb, future))
        return await future  # cancelling the wait does not take the order back

    async def aclose(self) -> None:
        """Write what was asked for, then end the thread."""
        if self._loop is None:
            return
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._bug is not None:
            raise self._bug

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        commits = 0
        while (orders := self._next()) is not None:
            try:
                connection = connection or self._connect()
                with self._lock.held():
                    _transact(connection, orders)
                    commits += 1
                    if commits % _COMMITS_PER_CHECKPOINT == 0:
                        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear
                reason = _translated(error)
                for order in orders:
                    if not order.committed:
                        order.error = order.error or reason
                if not isinstance(error, sqlite3.Error | OSError | SeedbatchError):
                    self._bug = error  # what was committed is so; nothing more is begun
            self._answer(orders)
        try:
            if connection is not None:
                with self._lock.held():  # closing the last connection is a checkpoint
                    connection.close()
        except (sqlite3.Error, OSError):
            return  # everything is committed, and the next one to close does it
        except Exception as error:  # noqa: BLE001 - raised where somebody waits
            self._bug = error

    def _next(self) -> list[_Order] | None:
        first = self._queue.get()
        if first is None:
            return None
        orders = [first]
        try:
            while len(orders) < _MOST_PER_COMMIT:
                order = self._queue.get_nowait()
                if order is None:
                    self._queue.put(None)
                    break
                orders.append(order)
        except Empty:
            pass
        return orders

    def _answer(self, orders: list[_Order]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_resolve, orders)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more, and what was asked is written


def _transact(connection: sqlite3.Connection, orders: list[_Order]) -> None:
    """All verbs in one commit; if one of them is refused, each in a commit of its own."""
    try:
        _commit(connection, orders)
    except sqlite3.OperationalError:
        raise  # the disk or the file, not a verb
    except Exception:  # noqa: BLE001 - it is a caller's, and goes to that caller below
        for order in orders:
            try:
                _commit(connection, [order])
            except sqlite3.OperationalError:
                raise
            except Exception as error:  # noqa: BLE001 - see above
                order.error = _translated(error)


def _commit(connection: sqlite3.Connection, orders: list[_Order]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for order in orders:
            order.result = order.verb(connection)
        connection.execute("COMMIT")
        for order in orders:
            order.committed = True
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _translated(error: BaseException) -> BaseException:
    match error:
        case SeedbatchError():
            return error
        case sqlite3.OperationalError() if "disk is full" in str(error) or "disk I/O" in str(error):
            return LedgerError(f"the ledger cannot be written: {error}", hint="free some space, then run it again")
        case sqlite3.OperationalError() | OSError():
            return LedgerError(f"the ledger cannot be written: {error}")
        case sqlite3.IntegrityError() if str(error) == ALTERED:
            return LedgerDamaged(
                f"the ledger is damaged, or was edited meanwhile: {error}",
                hint="seedbatch ledger check tells everything that is wrong with it",
            )
        case sqlite3.IntegrityError():
            return error
        case sqlite3.DatabaseError():
            return LedgerDamaged(f"the ledger is damaged: {error}")
        case _:
            return error


def _resolve(orders: list[_Order]) -> None:
    for order in orders:
        if order.future.done():
            continue
        if order.error is not None:
            order.future.set_exception(order.error)
        else:
            order.future.set_result(order.result)
