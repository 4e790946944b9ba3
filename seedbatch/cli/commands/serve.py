from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seedbatch.cli import options
from seedbatch.cli.callbacks import Bind, read_bind
from seedbatch.cli.words import say, short_path
from seedbatch.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    import asyncio

    from seedbatch.ports import Records
    from seedbatch.settings import Settings
    from seedbatch.web.live import LivePage
    from seedbatch.web.lookout import Lookout

DEFAULT_BIND = "127.0.0.1:8788"


@click.command("serve")
@click.option(
    "--bind",
    callback=read_bind,
    default=DEFAULT_BIND,
    show_default=True,
    metavar="HOST:PORT",
    help="Where the page is; port 0 takes a free one.",
)
@click.option("--allow-network", is_flag=True, help="Let other machines in: they read every prompt, and may pick.")
@options.place
@click.option("--batch", "batches", multiple=True, metavar="NAME", help="Only this batch; may be repeated.")
@options.picks
def command(
    bind: Bind,
    allow_network: bool,
    ledger: Path | None,
    sandbox: bool,
    batches: tuple[str, ...],
    picks: Path | None,
) -> int:
    """Show the gallery in a browser while it fills, with progress and what needs you, until Ctrl-C.

    It reads the ledger, and changes nothing but picks: it never spends. The URL goes to stdout.
    """
    import asyncio

    settings = options.settings_of(ledger=ledger, sandbox=sandbox)
    _check_network(bind, allowed=allow_network)
    return int(asyncio.run(_serve(settings, bind, batches, picks)))


def _check_network(bind: Bind, *, allowed: bool) -> None:
    from seedbatch.web.gate import is_loopback

    if is_loopback(bind.host):
        return
    if not allowed:
        raise UsageError(
            f"{bind.host} can be reached from other machines, and the page asks nobody for a password",
            hint="leave --bind out, or add --allow-network if everybody there may read every prompt, and pick",
        )
    say("Whoever reaches this address can read every prompt and cost, see every clip, and pick.", style="yellow")


async def _serve(settings: Settings, bind: Bind, batches: tuple[str, ...], picks: Path | None) -> Exit:
    import asyncio

    from seedbatch.cli.onlooking import Herald
    from seedbatch.cli.picking import Picker
    from seedbatch.cli.reading import open_or_say
    from seedbatch.report.poster_cache import PosterCache
    from seedbatch.web.live import LivePage, Place
    from seedbatch.web.lookout import Lookout
    from seedbatch.wiring import open_records

    posters = PosterCache(settings.ledger.with_name(f"{settings.ledger.stem}-posters"))
    opening: list[Callable[[Settings], Records | None]] = [open_or_say]  # said once, then only looked for
    lookout = Lookout(
        settings.ledger,
        lambda: opening.pop()(settings) if opening else open_records(settings),
        Picker(settings, picks),
        Herald(settings),
        batches or None,
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lookout.close)
        await lookout.look()
        page = LivePage(lookout, posters, options.place_flags(settings))
        place = await page.serve(Place(bind.host, bind.port), stack)
        say(f"The live page of {short_path(str(settings.ledger))}, until Ctrl-C:")
        click.echo(place.url)
        if not posters.drawing:
            say("Posters need the video extra: pip install 'seedbatch[video]'")
        await _until(stopped, lookout, page)
    return Exit.INTERRUPTED


async def _until(stopped: asyncio.Event, lookout: Lookout, page: LivePage) -> None:
    """Until somebody stops it, or it cannot go on."""
    import asyncio

    ends: set[asyncio.Future[Any]] = {
        asyncio.create_task(lookout.watch()),
        asyncio.create_task(stopped.wait()),
        page.failed,
    }
    done, others = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    for ended in done:
        ended.result()
