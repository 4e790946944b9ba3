"""What a run came to, estimate beside actual: in words and as JSON."""

from __future__ import annotations

from seedbatch.cli.spending import money_json, monies
from seedbatch.cli.words import count
from seedbatch.domain.budget import Spent
from seedbatch.domain.money import Money
from seedbatch.domain.runs import Bill


def bill_text(bill: Bill, planned: int) -> str:
    """`Estimated 12.50 USD, at most 25.00 USD; spent 11.90 USD, in doubt 0.60 USD (3).`; empty if nothing was sent.

    `planned` is how many requests were to be sent.
    """
    if not bill.jobs:
        return ""
    partly = bill.jobs < planned
    sent = f"{bill.jobs:,} of the {count(planned, 'request')} planned" if partly else count(bill.jobs, "request")
    if not bill.estimate:
        them, cost = ("it", "costs") if bill.jobs == 1 and not partly else ("them", "cost")
        return f"Neither estimated nor known is what {sent} {cost}: your price table has no price for {them}."
    scope = f" for {sent}" if partly else ""
    most = f", at most {monies(bill.worst)}" if bill.worst != bill.estimate else ""
    unpriced = f"; of {count(bill.unpriced, 'request')} no price is known" if bill.unpriced else ""
    parts = [f"spent {monies(one for one in bill.spent if one.micros) or 'nothing'}"]
    parts += [f"in doubt {_reserved(bill.in_doubt)}"] if bill.in_doubt.submissions else []
    parts += [f"reserved {_reserved(bill.running)} still at the provider"] if bill.running.submissions else []
    return f"Estimated {monies(bill.estimate)}{scope}{most}; {', '.join(parts)}{unpriced}."


def _reserved(spent: Spent) -> str:
    amounts = monies(_monies(spent))
    return f"{amounts} ({spent.submissions:,})" if amounts else f"an unknown amount ({spent.submissions:,})"


def bill_json(bill: Bill, planned: int) -> dict[str, object]:
    """Amounts are lists, one a currency: empty where no price is known."""
    return {
        "planned": planned,
        "sent": bill.jobs,
        "submissions": bill.submissions,
        "unpriced": bill.unpriced,
        "estimated": [money_json(one) for one in bill.estimate],
        "estimated_at_most": [money_json(one) for one in bill.worst],
        "spent": [money_json(one) for one in bill.spent],
        "in_doubt": _reserved_json(bill.in_doubt),
        "running": _reserved_json(bill.running),
    }


def _reserved_json(spent: Spent) -> dict[str, object]:
    return {"submissions": spent.submissions, "exposure": [money_json(one) for one in _monies(spent)]}


def _monies(spent: Spent) -> list[Money]:
    return [Money(amount, currency) for currency, amount in sorted(spent.exposure.items()) if amount]
