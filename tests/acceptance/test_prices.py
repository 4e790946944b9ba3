"""What a plan says of money, what a run came to beside it, and what is wrong with prices before anything is spent."""

from __future__ import annotations

import json

import pytest
from acceptance.conftest import PRICES

TAGGED = """\
version: 1
batch: test
defaults: {model: seedance-2.0-fast, input: {resolution: 480p, duration: 5}}
matrix: {ratio: [16:9, 9:16]}
jobs:
  - {key: river, prompt: river, input: {ratio: "{{ ratio }}"}, tags: [hero, autumn]}
  - {key: sea, prompt: sea, input: {ratio: "{{ ratio }}"}, tags: [autumn]}
  - {key: plain, prompt: plain, matrix: {}, input: {ratio: 1:1}}
  - key: mood
    model: seedream-4.5
    prompt: mood
    matrix: {}
    input: {resolution: 2k, ratio: 1:1, n: 4, duration: null, fallback: null}
retry: {attempts: 2}
budget: {max_cost: 2, currency: USD}
"""
TWO = PRICES + PRICES.replace("seedance-2.0-fast", "seedance-2.0").replace("USD", "EUR")


def usd(micros: int) -> dict:
    return {"micros": micros, "currency": "USD"}


def planned(project, *arguments: str) -> dict:
    done = project.run_forked("plan", *arguments, "--sandbox", "--format", "json")
    return json.loads(done.stdout)["summary"]


def bill(done) -> dict:
    return json.loads(done.stdout.splitlines()[-1])["bill"]


# -- a plan -------------------------------------------------------------------------------------------------------


def test_a_plan_parts_its_price_and_holds_it_against_the_caps(priced):
    manifest = priced.write("m.yaml", TAGGED)
    done = priced.run("plan", manifest, "--sandbox", "--by", "tag,ratio", "--max-jobs", "4")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["By", "tag", "jobs", "likely", "at", "most"] in lines
    assert ["autumn", "4", "1.00", "USD", "2.00", "USD"] in lines
    assert ["hero", "2", "0.50", "USD", "1.00", "USD"] in lines
    assert "By ratio" in done.stdout
    assert 'model = "seedream-4.5"\n    resolution = "2k"\n    unit = "image"' in done.stdout
    assert "Cap of this run: 4 of 4 submissions left; 6 submissions would not fit: 2 requests would be" in done.stdout
    told = planned(priced, manifest)
    by = {one["by"]: one for one in told["by"]}
    assert list(by) == ["batch", "model", "tag", "ratio"]
    assert [(part["value"], part["submissions"], part["price"]) for part in by["ratio"]["parts"]] == [
        ("16:9", 2, usd(500_000)), ("9:16", 2, usd(500_000)),
    ]  # fmt: skip
    assert (by["tag"]["overlaps"], by["tag"]["without"]["submissions"]) == (True, 2)
    (cap,) = told["caps"]
    assert (cap["cap"], cap["batch"], cap["cost_left"], cap["kept_back"]) == ("batch", "test", usd(2_000_000), 1)
    (unpriced,) = told["unpriced_models"]
    priced.write("seedbatch.toml", PRICES + unpriced["row_to_add"].replace("…", "0.03", 1).replace("…", "2026-11-24"))
    assert planned(priced, manifest)["price"] == usd(1_370_000)
    markdown = priced.run("plan", manifest, "--sandbox", "--format", "markdown").stdout
    assert "<summary>By <code>tag</code></summary>" in markdown


def test_a_name_that_nothing_has_is_refused(priced):
    manifest = priced.manifest("one")
    done = priced.run("plan", manifest, "--sandbox", "--by", "ration", code=2)
    assert "no job has an axis, a var or a parameter named 'ration'\n  → did you mean ratio?" in done.stderr
    done = priced.run("plan", manifest, "--compare", "HEAD", "--by", "tag", code=2)
    assert "leave out --by" in done.stderr


# -- estimate beside actual ---------------------------------------------------------------------------------------


def test_the_end_of_a_run_says_the_estimate_beside_what_was_spent(priced):
    manifest = priced.manifest("one", "two [fail]", extra="retry: {attempts: 2}\n")
    done = priced.apply(manifest, code=3)
    # The second was tried twice, and nobody says that a failed task is refunded.
    assert "\nEstimated 0.50 USD, at most 1.00 USD; spent 0.75 USD.\n" in done.stderr
    again = priced.apply(manifest, "--json", code=3)
    assert (bill(again)["planned"], bill(again)["sent"], bill(again)["spent"]) == (0, 0, [])


def test_what_is_in_doubt_and_what_still_runs_is_told_apart(priced):
    manifest = priced.manifest(*"abcd")
    faults = priced.write("faults.yaml", "rules: [{on: submit, do: cut-after-accept, at: [2]}]\n")
    done = priced.run(
        "apply", manifest, "--sandbox", "--yes", "--no-wait", "--max-jobs", "3", "--json", "--sandbox-faults", faults,
        code=5,
    )  # fmt: skip
    told = bill(done)
    assert (told["planned"], told["sent"], told["estimated"], told["spent"]) == (4, 3, [usd(750_000)], [usd(0)])
    assert told["in_doubt"] == {"submissions": 1, "exposure": [usd(250_000)]}
    assert told["running"] == {"submissions": 2, "exposure": [usd(500_000)]}
    summary = planned(priced, manifest)
    assert (summary["exposure"], summary["exposure_in_doubt"]) == (usd(750_000), usd(250_000))
    # Later runs tell of what they sent themselves.
    done = priced.apply(manifest, code=7)
    assert "Estimated 0.25 USD; spent 0.25 USD." in done.stderr


def test_money_that_nobody_knows_is_not_nothing(project):
    done = project.apply(project.manifest("one"))
    assert "Neither estimated nor known is what 1 request costs: your price table has no price for it." in done.stderr
    assert "spent" not in done.stderr


def test_what_has_no_price_is_told_beside_what_has(project):
    project.write("seedbatch.toml", PRICES)
    manifest = project.write("m.yaml", TAGGED.replace("budget: {max_cost: 2, currency: USD}\n", ""))
    done = project.apply(manifest, "--select", "key:plain key:mood")
    assert "Estimated 0.25 USD, at most 0.50 USD; spent 0.25 USD; of 1 request no price is known." in done.stderr


# -- wrong prices -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (PRICES.replace('"0.05"', '"-0.05"'), "price 1: price must be a finite amount, and not negative"),
        (PRICES.replace('price = "0.05"\n', ""), "seedbatch.toml, price 1: price is missing"),
        (PRICES.replace('"0.05"', '""'), "seedbatch.toml, price 1: price is missing"),
        (PRICES.replace('"0.05"', '"five"'), "seedbatch.toml, price 1: price must be an amount such as 12.50"),
        (PRICES.replace('"0.05"', '"0.05'), "seedbatch.toml:6:14: "),
        (PRICES + PRICES, "seedbatch.toml, price 2: seedance-2.0-fast at 480p has a price already"),
        ("[budget]\nmax_cost = 5\n", "seedbatch.toml [budget]: max_cost and currency go together"),
    ],
)  # fmt: skip
def test_a_wrong_price_table_is_told_and_nothing_is_spent(project, table, words):
    manifest = project.manifest("one")
    project.write("seedbatch.toml", table)
    for command in (["plan", manifest], ["apply", manifest, "--yes"]):
        done = project.run_forked(*command, "--sandbox", code=2)
        assert (done.stdout, words in done.stderr) == ("", True), done.stderr
    assert not (project.folder / ".seedbatch").exists()


def test_a_broken_file_of_prices_is_told(project):
    manifest = project.manifest("one")
    for text, words in (
        (b"\xff\xfe", "prices.toml"),
        (b"[[prices]\n", "prices.toml:1:"),
        (b"", "must hold [[prices]]"),
    ):
        project.write("prices.toml", text)
        done = project.run("apply", manifest, "--sandbox", "--yes", "--prices", "prices.toml", code=2)
        assert words in done.stderr
    done = project.run("plan", manifest, "--prices", "none.toml", code=2)
    assert "there is no file none.toml" in done.stderr
    assert not (project.folder / ".seedbatch").exists()


# -- two currencies -----------------------------------------------------------------------------------------------


def test_a_budget_in_another_currency_keeps_everything_back(priced):
    manifest = priced.manifest("one", "two", extra="budget: {max_cost: 40, currency: EUR}\n")
    done = priced.run("plan", manifest, "--sandbox")
    assert "Kept back by a cap as it stands: 2 requests (its price is in USD, and the cap in EUR)." in done.stdout
    assert "Budget of test: 40.00 of 40.00 EUR left; 0.50 USD would not fit: 2 requests would be" in done.stdout
    done = priced.apply(manifest, code=5)
    assert "its price is in USD, and the cap in EUR" in done.stderr
    assert priced.submitted() == 0


def test_a_days_budget_in_another_currency_than_the_batchs_lets_nothing_pass(project):
    project.write("seedbatch.toml", f'{PRICES}[budget]\nmax_cost = "9"\ncurrency = "EUR"\n')
    manifest = project.manifest("one", extra="budget: {max_cost: 40, currency: USD}\n")
    assert planned(project, manifest)["kept_back"] == 1
    project.apply(manifest, code=5)
    assert project.submitted() == 0


def test_sums_of_several_batches_never_mix_currencies(project):
    project.write("seedbatch.toml", TWO)
    one = project.manifest("one", "two", batch="one", extra="budget: {max_cost: 1, currency: USD}\n")
    two = project.manifest("three", batch="two", extra="budget: {max_cost: 1, currency: EUR}\n")
    text = (project.folder / two).read_text()
    project.write(two, text.replace("seedance-2.0-fast", "seedance-2.0"))
    told = planned(project, one, two)
    eur = {"micros": 250_000, "currency": "EUR"}
    assert (told["price"], told["prices"], told["kept_back"]) == (None, [eur, usd(500_000)], 0)
    assert [(cap["fits"], cap["cost_left"]["currency"]) for cap in told["caps"]] == [(True, "USD"), (True, "EUR")]
    words = project.run("plan", one, two, "--sandbox", "--by", "tag").stdout
    assert "Applying submits 3 requests for 0.25 EUR and 0.50 USD." in words
    assert "one: 2 create, 0.50 USD\n" in words
    done = project.apply(one, two)
    assert "Estimated 0.25 EUR and 0.50 USD; spent 0.25 EUR and 0.50 USD." in done.stderr
    done = project.run("plan", one, two, "--sandbox", "--max-cost", "5", code=2)
    assert "--max-cost names no currency" in done.stderr


# -- git ----------------------------------------------------------------------------------------------------------


def test_without_git_a_run_has_no_commit_and_a_comparison_says_why(priced):
    manifest = priced.manifest("one")
    priced.git("init", "-q")
    priced.git("add", ".")
    priced.git("commit", "-qm", "first")
    priced.environment["PATH"] = "/nonexistent"
    done = priced.run("plan", manifest, "--compare", "HEAD", code=2)
    assert "git is not installed, or not on the PATH" in done.stderr
    priced.apply(manifest, "--no-wait", code=6)
    (run,) = map(json.loads, priced.run("log", "--sandbox", "--json").stdout.splitlines())
    assert [(one["commit"], one["dirty"]) for one in run["batches"]] == [("", False)]


def test_a_dirty_work_tree_is_recorded_as_such(priced):
    manifest = priced.manifest("one")
    priced.git("init", "-q")
    priced.git("add", ".")
    priced.git("commit", "-qm", "first")
    priced.write(manifest, (priced.folder / manifest).read_text() + "# more\n")
    assert "differ from their commit" in priced.run("plan", manifest, "--compare", "HEAD").stderr
    priced.apply(manifest, "--no-wait", code=6)
    (run,) = map(json.loads, priced.run("log", "--sandbox", "--json").stdout.splitlines())
    assert [one["dirty"] for one in run["batches"]] == [True]
    assert f"{run['batches'][0]['commit'][:7]}*" in priced.run("log", "--sandbox").stdout
