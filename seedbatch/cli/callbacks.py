"""Receiving callbacks while a run works: the options, the receiver, and where the world reaches it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from seedbatch.cli.words import say
from seedbatch.domain.errors import UsageError
from seedbatch.settings import Settings

if TYPE_CHECKING:
    from seedbatch.engine.reception import Reception

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_BIND = "127.0.0.1:8787"
_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Bind:
    """Where to listen; port 0 takes a free one. `proxies` are addresses that many callbacks may come through."""

    host: str
    port: int
    proxies: frozenset[str] = frozenset()


def read_bind(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Bind | None:
    """Read `HOST:PORT`, an IPv6 host in brackets, for an option's `callback`."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    right = port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT
    if not colon or not bare or not right or (":" in bare) != (host != bare):
        raise click.BadParameter(f"{value!r} is no HOST:PORT, such as {DEFAULT_BIND} or [::1]:8787")
    return Bind(bare, int(port))


def public_url(function: F) -> F:
    """`--public-url`: where the provider reaches the listener."""
    return click.option(
        "--public-url",
        metavar="URL",
        help="Where the provider reaches the listener, https.  [env: SEEDBATCH_PUBLIC_URL]",
    )(function)


def proxies(function: F) -> F:
    """`--proxy`: what stands before the listener."""
    return click.option(
        "--proxy",
        "proxies",
        multiple=True,
        metavar="ADDRESS",
        help="The address of a reverse proxy on another machine: many connections of it are no flood.",
    )(function)


def check_reachable(settings: Settings, bind: Bind | None) -> None:
    """Refuse to listen where nobody could call.

    Raises:
        UsageError: there is a listener, but no public URL, and the provider is not on this machine.
    """
    if bind is not None and settings.public_url is None and not settings.provider_is_local:
        raise UsageError(
            "--listen alone does not tell the provider where to call",
            hint="add --public-url https://... (docs/webhooks.md has recipes), or leave --listen out",
        )


@asynccontextmanager
async def receiving(reception: Reception, bind: Bind, settings: Settings) -> AsyncIterator[str]:
    """Listen while the context is open; gives the URL of the listener itself.

    Raises:
        UsageError: the address cannot be listened at.
    """
    from seedbatch.web.receiver import Receiver

    prefix = urlsplit(settings.public_url or "").path.rstrip("/")
    try:
        receiver = Receiver(reception, paths={"", prefix}, proxies=bind.proxies)
        host, port = await receiver.start(bind.host, bind.port)
    except ValueError as error:
        raise UsageError(f"--proxy: {error}", hint="--proxy 10.0.0.7") from None
    except OSError as error:
        raise UsageError(
            f"cannot listen at {bind.host}:{bind.port}: {error.strerror or error}", hint="nothing was submitted"
        ) from error
    try:
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await receiver.stop()


def say_silence() -> None:
    """What it means that no callback can come: once, before anything is spent."""
    say(
        "No public URL: the provider cannot call back. Results are found by asking, which takes longer, and a"
        " submission whose answer is lost stays in doubt until you look it up."
    )
    say("  → to be called: --listen HOST:PORT --public-url https://... (docs/webhooks.md)\n")
