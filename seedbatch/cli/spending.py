"""Money and moderation in words, and the caps that flags and settings name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from seedbatch.cli.words import clean, count
from seedbatch.domain.brake import Brake, Moderation, surcharge
from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import UsageError
from seedbatch.domain.money import CURRENCY, Money, amount_text, micros
from seedbatch.domain.work import Caps

if TYPE_CHECKING:
    from seedbatch.domain.jobs import BatchSpec
    from seedbatch.domain.records import Accounts
    from seedbatch.engine.forecast import Forecast
    from seedbatch.engine.grouping import Sums
    from seedbatch.engine.room import Room
    from seedbatch.settings import Settings

_MOST_ROWS: Final = 3
_CAPS: Final = {"day": "Today's budget", "run": "Cap of this run"}
_AMOUNT = re.compile(r"([0-9.]+) ?([A-Za-z]{3})?")


def caps_of(
    settings: Settings,
    batches: Sequence[BatchSpec],
    *,
    max_jobs: int | None = None,
    max_cost: str | None = None,
    allow_violations: int | None = None,
) -> Caps:
    """What a run must keep to.

    Raises:
        UsageError: `max_cost` is no amount, or its currency cannot be known.
    """
    money = None if max_cost is None else _money(max_cost, batches)
    return Caps(
        run=Budget(max_jobs, money),
        day=settings.day_budget,
        brake=Brake(allow_violations, strict=settings.moderation_brake == "strict"),
    )


def _money(text: str, batches: Sequence[BatchSpec]) -> Money:
    match = _AMOUNT.fullmatch(text.strip())
    number, named = (match[1], match[2]) if match else (text, None)
    try:
        amount = micros(number)
    except ValueError as error:
        raise UsageError(f"--max-cost {error}", hint="--max-cost 12.50, or --max-cost '12.50 USD'") from None
    if named:
        return Money(amount, named.upper())
    known = {row.price.currency for batch in batches for row in batch.prices.rows.values()}
    known |= {batch.budget.max_cost.currency for batch in batches if batch.budget.max_cost}
    if len(known) != 1 or not CURRENCY.fullmatch(currency := known.pop()):
        raise UsageError("--max-cost names no currency", hint=f"say which: --max-cost '{number} USD'")
    return Money(amount, currency)


def monies(amounts: Iterable[Money]) -> str:
    """`12.50 USD`, `12.50 USD and 3.00 EUR`; empty if there is none."""
    return " and ".join(map(str, amounts))


def money_json(money: Money | None) -> dict[str, object] | None:
    """`{"micros": 1250000, "currency": "USD"}`, or null."""
    return None if money is None else {"micros": money.micros, "currency": money.currency}


def price_text(forecast: Forecast) -> str:
    """`12 requests for 3.00 USD (at most 6.00 USD with retries) and 2 without a known price`, as far as prices tell."""
    what = count(forecast.submissions, "request")
    unpriced = sum(forecast.unpriced.values())
    if not forecast.price:
        return what
    most = f" (at most {monies(forecast.worst)} with retries)" if forecast.worst not in {(), forecast.price} else ""
    without = f" and {unpriced:,} without a known price" if unpriced else ""
    return f"{what} for {monies(forecast.price)}{most}{without}"


def sums_text(sums: Sums) -> str:
    """`3.00 USD, at most 6.00 USD, 2 without a known price`, as far as prices tell; empty if nothing is submitted."""
    most = f"at most {monies(sums.worst)}" if sums.worst not in {(), sums.price} else ""
    unpriced = f"{sums.unpriced:,} without a known price" if sums.price and sums.unpriced else ""
    return ", ".join(part for part in (monies(sums.price), most, unpriced) if part)


def forecast_lines(forecast: Forecast) -> Iterator[str]:
    """What a plan comes to beside its price: what has none, what caps keep back, and what moderation may do."""
    if forecast.unpriced and forecast.price:
        models = ", ".join(f"{clean(model)} ({number:,})" for model, number in sorted(forecast.unpriced.items()))
        yield f"Without a price in your price table: {models}."
    if forecast.unpriced:
        rows = [forecast.rows_to_add[model] for model in sorted(forecast.unpriced) if model in forecast.rows_to_add]
        more = f"\n    (and {len(rows) - _MOST_ROWS:,} more)" if len(rows) > _MOST_ROWS else ""
        if rows:
            lines = "\n".join(rows[:_MOST_ROWS]).replace("\n", "\n    ")
            yield f"  → add to seedbatch.toml what you know of its price:\n    {lines}{more}"
    if forecast.kept is not None:
        kept = count(forecast.kept.count, "request")
        yield f"Kept back by a cap as it stands: {kept} ({forecast.kept.reason})."
    yield from costs_lines(forecast)


def costs_lines(forecast: Forecast, name: Callable[[str], str] = clean) -> Iterator[str]:
    """What may be owed in all, what each cap has room for, and what moderation may do; `name` as for `room_text`."""
    if owed := _owed_text(forecast):
        yield owed
    if forecast.submissions:
        yield from (f"{room_text(room, name)}." for room in forecast.rooms)
        yield moderation_text(forecast.moderation, adding=forecast.submissions)


def _owed_text(forecast: Forecast) -> str:
    """Empty where the price of the plan says it all."""
    if forecast.exposure_at_most in {(), forecast.worst}:
        return ""
    now = monies(forecast.exposure) or "nothing"
    doubt = f" ({monies(forecast.in_doubt)} of it in doubt)" if forecast.in_doubt else ""
    most = forecast.exposure_at_most
    if most == forecast.exposure:
        return f"What may be owed in this ledger: {now}{doubt}." if doubt else ""
    after = f", {monies(forecast.exposure_after)} afterwards" if forecast.price else ""
    retries = f", at most {monies(most)} with retries" if most != forecast.exposure_after else ""
    return f"What may be owed in this ledger: {now} now{doubt}{after}{retries}."


def room_text(room: Room, name: Callable[[str], str] = clean) -> str:
    """What one cap has room for, and what becomes of what does not fit. `name` makes a batch's name fit to be shown."""
    cap, asked = room.budget, room.asked
    lefts: list[str] = []
    likely: list[str] = []
    most: list[str] = []
    if cap.max_cost is not None:
        lefts.append(f"{'an unknown part' if room.left is None else amount_text(room.left.micros)} of {cap.max_cost}")
        unpriced = f"{asked.unpriced:,} without a price" if asked.unpriced else ""
        for amounts, told in ((asked.price, likely), (asked.worst + Counter(room.retries.exposure), most)):
            told += [part for part in (monies(_monies(amounts)), unpriced) if part]
    if cap.max_jobs is not None:
        lefts.append(f"{room.jobs_left:,} of {count(cap.max_jobs, 'submission')}")
        likely.append(count(asked.submissions, "submission"))
        most.append(count(asked.tries + room.retries.submissions, "submission"))
    whose = _CAPS.get(room.scope) or f"Budget of {name(room.batch or '')}"
    text = f"{whose}: {' and '.join(lefts)} left; {' and '.join(likely)}"
    if not room.fits:
        text += " would not fit"
        return text + (f": {count(room.kept, 'request')} would be kept back" if room.kept else "")
    if most == likely:
        return f"{text} would fit"
    with_retries = f"at most {' and '.join(most)} with retries"
    if room.fits_at_most:
        return f"{text} would fit, and so would {with_retries}"
    return f"{text} would fit, {with_retries} would not: what is beyond it would wait"


def _monies(sums: Mapping[str, int]) -> list[Money]:
    return [Money(amount, currency) for currency, amount in sorted(sums.items())]


def moderation_text(seen: Moderation, *, adding: int = 0) -> str:
    """Count, surcharge and rate, and what so many more would add."""
    today, rate = count(seen.violations, "violation"), f"{100 * float(seen.rate):.0f} %"
    text = (
        f"Moderation: {today} today (UTC, as far as this ledger saw), the next costs "
        f"{surcharge(seen.violations + 1)} % of its task; {rate} of tasks are taken to be rejected"
    )
    which = "this one" if adding == 1 else f"these {adding:,}"
    more = f", {which} would add about {_rounded(float(adding * seen.rate))}" if adding else ""
    return f"{text}{more}."


def _rounded(number: float) -> str:
    """One digit where a whole number would say nothing."""
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"  # noqa: PLR2004


def accounts_lines(accounts: Accounts) -> Iterator[str]:
    """What may be owed, by batch, against each budget."""
    for name, spent in accounts.batches.items():
        cap = accounts.budgets.get(name, Budget())
        owed = monies(Money(amount, currency) for currency, amount in sorted(spent.exposure.items()) if amount)
        if not owed and not cap:
            continue
        limits = []
        if cap.max_cost is not None:
            used = spent.exposure.get(cap.max_cost.currency, 0)
            limits.append(f"{amount_text(used)} of {cap.max_cost}")
        elif owed:
            limits.append(owed)
        if cap.max_jobs is not None:
            limits.append(f"{spent.submissions:,} of {count(cap.max_jobs, 'submission')}")
        unpriced = f", {spent.unpriced:,} without a known price" if spent.unpriced else ""
        yield f"  {name}: {', '.join(limits)}{unpriced}"
