"""Which of a manifest's jobs a plan is about."""

from __future__ import annotations

from seedbatch.domain.difference import Step
from seedbatch.domain.records import RecordedJob
from seedbatch.domain.selection import Choice, Facts, Kind, label_names, unknown_label
from seedbatch.domain.states import JobState


class Chooser:
    """Decides job by job, by what the manifest says and what the ledger knows; notes what may be asked about."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._missing = {label.name: label for label in choice.labels}
        self._names: set[str] = set()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self._choice.everything

    @property
    def asks_for_reasons(self) -> bool:
        """Whether it must know more of a recorded job than its state."""
        return Kind.REASON in self._choice.kinds

    def takes(self, batch: str, step: Step, recorded: RecordedJob | None) -> bool:
        """Whether a wanted job is chosen; `recorded` is its row, where `asks_for_reasons`."""
        if self.everything:
            return True
        spec = step.spec
        if self._missing:
            names = label_names(spec.axes, spec.request.input, spec.vars)
            self._names |= names
            for name in self._missing.keys() & names:
                del self._missing[name]
        row = step.target or step.before
        return self._choice.takes(
            Facts(
                batch,
                spec.address,
                spec.request.model,
                spec.tags,
                spec.axes,
                spec.request.input,
                JobState.PENDING if row is None else row.state,
                None if recorded is None else recorded.failure,
                "" if recorded is None else recorded.reason,
                spec.vars,
            )
        )

    def check_names(self) -> None:
        """Once all jobs were seen.

        Raises:
            UsageError: none of them has an axis, a var or a parameter that the choice names.
        """
        for label in self._missing.values():
            raise unknown_label(label, self._names)
