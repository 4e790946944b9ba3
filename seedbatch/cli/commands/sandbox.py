from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import click

from seedbatch.cli.words import say


@click.command("sandbox")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8765, show_default=True, help="The port; 0 takes a free one.")
@click.option("--speed", default=1.0, show_default=True, metavar="X", help="Tasks finish X times as fast.")
@click.option("--faults", type=click.Path(path_type=Path), metavar="FILE", help="A fault plan: docs/sandbox.md.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=Path(".seedbatch/sandbox-provider.db"),
    show_default=True,
    help="Where tasks, clips and the bill are kept.",
)
@click.option("--internal-callbacks", is_flag=True, help="Call back to internal addresses too, such as 127.0.0.1.")
def command(host: str, port: int, speed: float, faults: Path | None, file: Path, internal_callbacks: bool) -> None:
    """Run the stand-in provider: the documented API on this machine, at no cost.

    Point any client of the API at it: MAXAPI_BASE_URL=http://127.0.0.1:8765 and any key. What was submitted
    survives a restart. (`apply --sandbox` needs no such server: it brings its own.)
    """
    from seedbatch.wiring import serve_sandbox

    def ready(address: str) -> None:
        say(f"The sandbox listens at {address}\n  export MAXAPI_BASE_URL={address} MAXAPI_API_KEY=sandbox")
        say(f"  what it billed: {address}/_sandbox/bill    Ctrl-C ends it")

    with suppress(KeyboardInterrupt):
        asyncio.run(
            serve_sandbox(
                file,
                host,
                port,
                speed=speed,
                faults=faults,
                on_ready=ready,
                internal_callbacks=internal_callbacks,
            )
        )
