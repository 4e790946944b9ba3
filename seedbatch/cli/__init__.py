"""The command line: options in, one call, words out."""

from __future__ import annotations


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    from seedbatch.cli.boundary import run

    run()
