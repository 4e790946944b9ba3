"""A plan as a comment: nothing from outside is obeyed by Markdown, HTML or GitHub, and it always fits."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from seedbatch.cli.escaping import code, html_code
from seedbatch.cli.markdown import MOST_CHARACTERS, plan_markdown
from seedbatch.domain.difference import Known
from seedbatch.domain.jobs import BatchSpec
from seedbatch.domain.money import Money
from seedbatch.domain.records import Accounts, Standing
from seedbatch.domain.states import JobState
from seedbatch.domain.work import Caps
from seedbatch.engine.forecast import forecast
from seedbatch.engine.planned import Action, Plan, Planned

MARKDOWN = MarkdownIt("commonmark").enable("table")
HOSTILE = (
    "` `` ``` @team #12 | a | <!-- --> </code></details><script>x</script> [x](https://x.example) ![](https://x.example)"
    " https://x.example **b** &lt;&#64; $`x`$ \\` \x1b[2J\n| --- |\r\n## h \u202e \u2028 end`"
)


class Page(HTMLParser):
    """The elements of a page, and what stands outside of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.comments: list[str] = []
        self.codes: list[str] = []
        self.outside = ""
        self._in_code = False
        self.feed(MARKDOWN.render(text))

    def handle_starttag(self, tag, _attrs):
        self.tags.append(tag)
        if tag == "code":
            self._in_code = True
            self.codes.append("")

    def handle_endtag(self, tag):
        self._in_code = self._in_code and tag != "code"

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        if self._in_code:
            self.codes[-1] += data
        else:
            self.outside += data


@given(st.text())
@example(HOSTILE)
@example("`")
@example(" ")
@example("\\")
@example("a ")
@example("``a`")
def test_text_is_shown_as_it_is_and_never_obeyed(text):
    page = Page(f"- {code(text)}: mine\n")
    assert page.tags == ["ul", "li", "code"]
    assert page.comments == []
    assert page.outside.strip() == ": mine"
    if text.strip() and text.isprintable() and len(text) <= 300:
        assert page.codes == [text]


@given(st.text())
@example(HOSTILE)
def test_the_same_in_a_line_of_html(text):
    page = Page(f"<details><summary>{html_code(text)}: mine</summary>\n\n</details>\n")
    assert page.tags == ["details", "summary", "code"]
    assert page.outside.strip() == ": mine"


def planned(number, action, *, batch="b", reason="new", price=50_000, state=None):
    known = state and Known(number + 1, f"j{number}", 1, 1, Standing.CURRENT, state, "0" * 64, tried=True)
    money = None if price is None else Money(price, "USD")
    name = f"j{number}"
    return Planned(batch, name, 1, action, reason, "seedance-2.0", f"{batch}/{name}", known=known, price=money)


def comment(*jobs, **options):
    plan = Plan(jobs)
    names = tuple(BatchSpec(name, ()) for name in plan.by_batch)
    return plan_markdown(plan, forecast(plan, names, Accounts(), Caps()), **options)


def test_the_outcome_stands_first_then_the_table():
    text = comment(
        *(planned(number, Action.CREATE) for number in range(3)),
        planned(3, Action.REGENERATE, reason="ratio 1:1 → 16:9"),
        *(planned(number, Action.UNCHANGED, price=None) for number in range(4, 1004)),
        digest="ab12",
    )
    lines = text.splitlines()
    assert lines[0] == "## Applying submits 4 requests for 0.20 USD"
    assert lines[2:7] == [
        "| action | jobs | price |",
        "| --- | ---: | ---: |",
        "| regenerate | 1 | 0.05 USD |",
        "| create | 3 | 0.15 USD |",
        "| unchanged | 1,000 |  |",
    ]
    assert "- `j3`: `ratio 1:1 → 16:9`, 0.05 USD" in lines
    assert "<details open><summary><code>b</code>: 1 to regenerate, 0.05 USD</summary>" in lines
    assert lines[-1] == "Plan digest: `ab12`"
    assert "WARNING" not in text


def test_what_needs_a_person_or_has_no_price_is_a_warning():
    text = comment(
        planned(0, Action.HELD, price=None, state=JobState.FAILED),
        planned(1, Action.HELD, price=None, state=JobState.IN_DOUBT),
        planned(2, Action.HELD, price=None, state=JobState.IN_DOUBT),
        planned(3, Action.HELD, price=None),
        planned(4, Action.CREATE, price=None),
    )
    assert [line for line in text.splitlines() if line.startswith(">")] == [
        "> [!WARNING]",
        "> - **2 jobs in doubt.** They may have been charged: `seedbatch resolve KEY`.",
        "> - **1 job held.** Failed, expired or abandoned: `seedbatch retry KEY`.",
        "> - **1 clip paid for by others** and not here: `--shared DIR`.",
        "> - **1 request without a known price** (`seedance-2.0`): not in the sum.",
    ]


def test_no_more_than_fifty_of_a_kind():
    text = comment(*(planned(number, Action.CREATE) for number in range(60)))
    assert text.count("- `j") == 50
    assert "- … and 10 more" in text


@pytest.mark.parametrize(("batches", "reason"), [(1, HOSTILE * 9), (30, "ж" * 400), (100, "𝄞" * 400), (2_000, "new")])
def test_it_always_fits(batches, reason):
    jobs = [
        planned(number, Action.CREATE, batch=f"b{batch}", reason=reason)
        for batch in range(batches)
        for number in range(60 if batches < 1000 else 2)
    ]
    text = comment(*jobs, digest="ab12")
    assert len(text.encode("utf-16-le")) // 2 <= MOST_CHARACTERS
    assert f"{len(jobs):,} requests" in text
    assert "Plan digest: `ab12`" in text
    if batches == 2_000:
        assert "The jobs are left out" in text


def test_hostile_jobs_change_nothing_of_the_page():
    job = planned(0, Action.CREATE)
    hostile = Planned(HOSTILE, HOSTILE, 2, Action.REGENERATE, HOSTILE, HOSTILE, "x")
    page = Page(comment(job, hostile))
    assert page.comments == []
    assert set(page.tags) <= {
        *("h2", "blockquote", "ul", "li", "p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"),
        *("details", "summary"),
    }
    assert page.tags.count("tr") == 3
    for word in ("@team", "#12", "x.example", "script", "-->"):
        assert word not in page.outside


def test_every_action_has_its_place():
    jobs = [planned(number, action) for number, action in enumerate(Action)]
    text = comment(*jobs)
    for action in Action:
        assert f"| {action} | 1 |" in text
        assert (f"1 to {action}" in text) is (action is not Action.UNCHANGED)


def test_nothing_to_do():
    assert comment(planned(0, Action.UNCHANGED, price=None)).startswith("## Nothing to do\n")
