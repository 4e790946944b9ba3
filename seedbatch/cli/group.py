"""A group that imports a command only when it runs: help, version and completion stay instant."""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

# name -> what `seedbatch --help` says; the module of the same name in `commands` holds it as `command`.
COMMANDS = {
    "init": "Write a first manifest, a .gitignore and a CI example.",
    "validate": "Check manifests without asking the provider.",
    "explain": "Explain the code of a problem, and how to mend it.",
    "fmt": "Bring manifests into their canonical form.",
    "plan": "Show what applying would do, and why.",
    "apply": "Submit, collect and download what manifests ask for.",
    "collect": "Ask once about what is running, and download what is done.",
    "listen": "Receive the provider's callbacks.",
    "status": "Tell where everything stands.",
    "list": "List jobs, one a line.",
    "show": "Tell the whole story of a job.",
    "report": "Write a gallery of the clips, as one folder of HTML.",
    "serve": "Show the gallery in a browser while it fills.",
    "log": "List runs: when, who, what they did and what it cost.",
    "diff": "Tell what changed between two runs, or two commits.",
    "pick": "Choose takes, or list the chosen ones.",
    "lock": "Write what was paid for into a file for git.",
    "export": "Write jobs as CSV, JSON Lines or Parquet.",
    "resolve": "Settle a job that is in doubt.",
    "retry": "Want failed, expired or abandoned jobs again.",
    "abandon": "Give up unfinished jobs.",
    "ledger": "Care for the ledger: check, backup, rebuild.",
    "doctor": "Look at everything that a run depends on.",
    "models": "List the models, or tell what one accepts.",
    "schema": "Print the JSON Schema of manifests, or of a model.",
    "sandbox": "Run the stand-in provider.",
}


class LazyGroup(click.Group):
    """Commands by name, in the table's order."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Every command's name."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        found = import_module(f"seedbatch.cli.commands.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, or an error with the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(_unknown(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing what it names."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names from the table: click's own way would import every command."""
        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    return f"there is no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
