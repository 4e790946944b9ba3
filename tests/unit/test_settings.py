from __future__ import annotations

import copy
import dataclasses
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from seedbatch.domain.budget import Budget
from seedbatch.domain.errors import KeyMissing, UsageError
from seedbatch.domain.jobs import Limits
from seedbatch.domain.money import Money
from seedbatch.domain.secret import Secret
from seedbatch.settings import PriceSource, Settings, api_key, load

KEY = "sk-secret-0123456789"


class Place:
    """A working directory and a home of its own."""

    def __init__(self, root: Path) -> None:
        self.cwd = root / "work"
        self.home = root / "home"
        self.cwd.mkdir()
        (self.home / "seedbatch").mkdir(parents=True)

    def project(self, text: str) -> None:
        (self.cwd / "seedbatch.toml").write_text(text, encoding="utf-8")

    def user(self, text: str) -> Path:
        path = self.home / "seedbatch" / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, flags: dict[str, object] | None = None, **environ: str) -> Settings:
        return load(flags or {}, {"XDG_CONFIG_HOME": str(self.home), **environ}, self.cwd)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- defaults and precedence ------------------------------------------------------------------------------------


def test_defaults(place: Place):
    assert place.load() == Settings(
        ledger=place.cwd / ".seedbatch" / "ledger.db",
        output_dir=place.cwd / "outputs",
        base_url="https://api.maxapi.io",
        shared=None,
        public_url=None,
        limits=Limits(),
        queries_per_second=10,
        allow_origins=frozenset(),
        reconcile_first=None,
        reconcile_every=None,
        doubt_wait=14_400,
        sandbox=False,
        sandbox_speed=None,
        sandbox_faults=None,
        prices=PriceSource(),
        day_budget=Budget(),
        moderation_brake="expected",
        origins={},
    )
    assert place.load().origin("ledger") == "default"


def test_defaults_of_the_sandbox(place: Place):
    settings = place.load({"sandbox": True})
    assert settings.sandbox
    assert settings.ledger == place.cwd / ".seedbatch" / "sandbox.db"
    assert settings.output_dir == place.cwd / "outputs" / "sandbox"
    assert settings.queries_per_second is None
    assert settings.limits == Limits()


def test_a_ledger_that_is_named_is_the_sandboxs_too(place: Place):
    assert place.load({"sandbox": True, "ledger": "x.db"}).ledger == place.cwd / "x.db"
    assert place.load({"sandbox": True}, SEEDBATCH_LEDGER="y.db").ledger == place.cwd / "y.db"


def test_flag_beats_environment_beats_project_beats_user(place: Place):
    def now(flags: dict[str, object] | None = None, **environ: str) -> tuple[str, str]:
        settings = place.load(flags, **environ)
        return settings.ledger.name, settings.origin("ledger")

    assert now() == ("ledger.db", "default")
    user = place.user('ledger = "user.db"')
    assert now() == ("user.db", str(user))
    place.project('ledger = "project.db"')
    assert now() == ("project.db", "seedbatch.toml")
    assert now(SEEDBATCH_LEDGER="env.db") == ("env.db", "environment SEEDBATCH_LEDGER")
    assert now({"ledger": Path("flag.db")}, SEEDBATCH_LEDGER="env.db") == ("flag.db", "flag --ledger")


def test_a_flag_that_was_not_given_and_a_variable_that_is_empty_are_unset(place: Place):
    place.project('sandbox = true\noutput_dir = "clips"')
    settings = place.load(
        {"sandbox": False, "output_dir": None, "verbose": 3}, SEEDBATCH_OUTPUT_DIR="", MAXAPI_BASE_URL=" "
    )
    assert settings.sandbox
    assert settings.output_dir == place.cwd / "clips"
    assert settings.origin("sandbox") == "seedbatch.toml"


def test_absolute_paths_and_home(place: Place, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place.load({"ledger": "/srv/x.db"}).ledger == Path("/srv/x.db")
    assert place.load(SEEDBATCH_LEDGER="~/x.db").ledger == tmp_path / "x.db"


def test_origins_of_a_flag_with_two_words(place: Place):
    assert place.load({"output_dir": "x"}).origin("output_dir") == "flag --output-dir"


def test_settings_cannot_be_changed(place: Place):
    with pytest.raises(dataclasses.FrozenInstanceError):
        place.load().sandbox = True  # type: ignore[misc]


# -- ceilings -----------------------------------------------------------------------------------------------------


def test_of_ceilings_the_strictest_named_one_holds(place: Place):
    place.user("[limits]\nsubmitting = 3\nin_flight = 50\nsubmits_per_minute = 30")
    place.project("[limits]\nsubmitting = 5\nin_flight = 20")
    settings = place.load({"submitting": 4, "in_flight": 500}, SEEDBATCH_IN_FLIGHT="40")
    assert settings.limits == Limits(submitting=3, in_flight=20, submits_per_minute=30)
    assert settings.origin("in_flight") == "seedbatch.toml"
    assert settings.origin("submitting").endswith("config.toml")


def test_a_flag_may_go_beyond_a_default_but_not_beyond_a_ceiling(place: Place):
    assert place.load({"submitting": 50, "queries_per_second": 25.5}).limits.submitting == 50
    assert place.load({"queries_per_second": 25.5}).queries_per_second == 25.5
    place.project("[limits]\nqueries_per_second = 2")
    assert place.load({"queries_per_second": 25.5}).queries_per_second == 2
    assert place.load({"sandbox": True}).queries_per_second == 2


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nan", "inf", "many", "1e400", "9" * 5000])
def test_what_is_no_count(place: Place, text):
    with pytest.raises(UsageError, match=r"^submitting from environment SEEDBATCH_SUBMITTING must be"):
        place.load(SEEDBATCH_SUBMITTING=text)


@pytest.mark.parametrize("value", ["0", "true", '"x"', "[1]", "nan", "inf", "-2.5"])
def test_what_is_no_rate_in_a_file(place: Place, value):
    place.project(f"[limits]\nsubmits_per_minute = {value}")
    with pytest.raises(UsageError, match=r"^submits_per_minute from seedbatch\.toml must be"):
        place.load()


def test_seconds(place: Place):
    settings = place.load(SEEDBATCH_RECONCILE_FIRST="0.5", SEEDBATCH_RECONCILE_EVERY="2", SEEDBATCH_DOUBT_WAIT="0")
    assert (settings.reconcile_first, settings.reconcile_every, settings.doubt_wait) == (0.5, 2, 0)


@pytest.mark.parametrize("name", ["SEEDBATCH_RECONCILE_FIRST", "SEEDBATCH_RECONCILE_EVERY", "SEEDBATCH_SANDBOX_SPEED"])
@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon"])
def test_what_are_no_seconds(place: Place, name, text):
    with pytest.raises(UsageError, match=f"from environment {name} must be"):
        place.load(**{name: text})


def test_a_doubt_waits_no_negative_time(place: Place):
    with pytest.raises(UsageError, match="doubt_wait from environment SEEDBATCH_DOUBT_WAIT must not be negative"):
        place.load(SEEDBATCH_DOUBT_WAIT="-1")


@pytest.mark.parametrize(("text", "on"), [("1", True), ("Yes", True), ("off", False), ("0", False)])
def test_switches(place: Place, text, on):
    assert place.load(SEEDBATCH_SANDBOX=text).sandbox is on


def test_what_is_no_switch(place: Place):
    with pytest.raises(UsageError, match="sandbox from environment SEEDBATCH_SANDBOX must be true or false"):
        place.load(SEEDBATCH_SANDBOX="maybe")


def test_the_sandboxs_own(place: Place):
    settings = place.load({"sandbox_speed": 60, "sandbox_faults": "faults.toml"})
    assert settings.sandbox_speed == 60
    assert settings.sandbox_faults == place.cwd / "faults.toml"


@pytest.mark.parametrize("value", ["7", "true", '""', '" "', '["x"]', r'"a\u0000b"'])
def test_what_is_no_path(place: Place, value):
    place.project(f"ledger = {value}")
    with pytest.raises(UsageError, match=r"^ledger from seedbatch\.toml is no path"):
        place.load()


def test_a_value_that_is_beaten_is_checked_all_the_same(place: Place):
    place.project("ledger = 7")
    with pytest.raises(UsageError, match=r"ledger from seedbatch\.toml"):
        place.load({"ledger": "x.db"})


# -- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example", "https://api.example"),
        ("https://API.Example/", "https://api.example"),
        ("https://api.example:8443/Gate/way//", "https://api.example:8443/Gate/way"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:1/", "http://localhost:1"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_base_urls(place: Place, text, url):
    settings = place.load(MAXAPI_BASE_URL=text)
    assert settings.base_url == url
    assert settings.origin("base_url") == "environment MAXAPI_BASE_URL"


@pytest.mark.parametrize(
    "text",
    [
        "http://api.example",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://127.1",
        "ftp://api.example",
        "file:///etc/passwd",
        "api.example",
        "https://",
        "https://:8080",
        "https://user:pw@api.example",
        "https://user@api.example",
        "https://api.example?x=1",
        "https://api.example/?",
        "https://api.example#x",
        "https://api.example:0",
        "https://api.example:99999",
        "https://api.example:x",
        "https://api.exa mple",
        "https://api.example\\@evil.example",
        "https://api.example\n",
        "https://api.exämple",
        "https://[::1",
    ],
)
def test_what_is_no_base_url(place: Place, text):
    with pytest.raises(UsageError, match="base_url from flag --base-url") as caught:
        place.load({"base_url": text + ("x" if text.endswith("\n") else "")})
    assert "user" not in caught.value.message


def test_public_urls(place: Place):
    assert place.load(SEEDBATCH_PUBLIC_URL="https://me.example/hooks/").public_url == "https://me.example/hooks"
    home = "http://127.0.0.1:9"
    assert place.load(SEEDBATCH_PUBLIC_URL=home, MAXAPI_BASE_URL="http://localhost:8").public_url == home
    assert place.load({"sandbox": True}, SEEDBATCH_PUBLIC_URL=home).public_url == home


@pytest.mark.parametrize(
    ("public", "base"),
    [
        ("http://me.example", "https://api.example"),
        ("http://me.example", "http://127.0.0.1:8"),
    ],
)
def test_a_public_url_is_https_but_at_home(place: Place, public, base):
    with pytest.raises(UsageError, match="public_url from environment SEEDBATCH_PUBLIC_URL must be https"):
        place.load(SEEDBATCH_PUBLIC_URL=public, MAXAPI_BASE_URL=base)


@pytest.mark.parametrize(
    "public",
    ["https://10.1.2.3/in", "https://127.0.0.1:8787", "https://[::1]", "https://localhost", "https://a.localhost",
     "https://169.254.1.1", "http://192.168.1.1"],
)  # fmt: skip
def test_a_public_url_is_no_internal_address_but_at_home(place: Place, public):
    with pytest.raises(UsageError, match="public_url from environment SEEDBATCH_PUBLIC_URL is an internal address"):
        place.load(SEEDBATCH_PUBLIC_URL=public, MAXAPI_BASE_URL="https://api.example")
    assert place.load(SEEDBATCH_PUBLIC_URL="https://9.9.9.9", MAXAPI_BASE_URL="https://api.example").public_url


def test_allowed_origins(place: Place):
    text = "https://CDN.example, http://10.0.0.1:8080/,http://[fd00::1],"
    assert place.load(SEEDBATCH_ALLOW_ORIGINS=text).allow_origins == {
        "https://cdn.example:443",
        "http://10.0.0.1:8080",
        "http://[fd00::1]:80",
    }
    place.user('allow_origins = ["https://cdn.example:444"]')
    assert place.load().allow_origins == {"https://cdn.example:444"}


@pytest.mark.parametrize("text", ["*", "https://*.example", "https://cdn.example/path", "cdn.example", "https://u@h"])
def test_what_is_no_origin(place: Place, text):
    with pytest.raises(UsageError, match="allow_origins from environment SEEDBATCH_ALLOW_ORIGINS must"):
        place.load(SEEDBATCH_ALLOW_ORIGINS=f"https://fine.example,{text}")


# -- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("base_url", "MAXAPI_BASE_URL"),
        ("public_url", "SEEDBATCH_PUBLIC_URL"),
        ("allow_origins", "SEEDBATCH_ALLOW_ORIGINS"),
    ],
)
def test_a_repository_cannot_say_where_things_go(place: Place, name, variable):
    place.project(f'{name} = "https://evil.example"')
    with pytest.raises(UsageError, match=f"seedbatch.toml may not set {name}") as caught:
        place.load()
    assert "comes with the repository" in caught.value.message
    assert variable in caught.value.hint
    (place.cwd / "seedbatch.toml").unlink()
    place.user(f'{name} = "https://mine.example"')
    assert place.load().origin(name).endswith("config.toml")


@pytest.mark.parametrize("name", ["api_key", "key", "MAXAPI_API_KEY", "api-key", "api_key_file"])
def test_no_file_holds_the_key(place: Place, name):
    for write in (place.project, place.user):
        write(f'{name} = "{KEY}"')
        with pytest.raises(UsageError, match="must not hold the API key") as caught:
            place.load()
        assert KEY not in caught.value.message + caught.value.hint
        assert "MAXAPI_API_KEY" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('leger = "x"', "seedbatch.toml: unknown setting 'leger'", "did you mean ledger?"),
        ('output-dir = "x"', "seedbatch.toml: unknown setting 'output-dir'", "did you mean output_dir?"),
        ("[limits]\nsubmiting = 2", "seedbatch.toml [limits]: unknown setting 'submiting'", "did you mean submitting?"),
        (
            "submitting = 2",
            "seedbatch.toml: unknown setting 'submitting'",
            "submitting belongs into the table [limits]",
        ),
        ("limits = 2", "seedbatch.toml: limits must be a table", "[limits]"),
    ],
)
def test_unknown_settings_are_errors(place: Place, text, message, hint):
    place.project(text)
    with pytest.raises(UsageError) as caught:
        place.load()
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_unknown_setting_like_nothing_else_lists_what_there_is(place: Place):
    user = place.user("zzz = 1")
    with pytest.raises(UsageError, match="unknown setting 'zzz'") as caught:
        place.load()
    assert caught.value.message.startswith(str(user))
    assert "ledger, output_dir" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('ledger = "x"\nsandbox = maybe', "seedbatch.toml:2:11: "),
        ('ledger = "x', "seedbatch.toml:1:12: "),
        ("ledger", "seedbatch.toml:1:7: "),
        ("a = 1\na = 2", "seedbatch.toml:2:6: "),
    ],
)
def test_malformed_toml_is_told_with_its_place(place: Place, text, start):
    place.project(text)
    with pytest.raises(UsageError) as caught:
        place.load()
    assert caught.value.message.startswith(start)


@pytest.mark.parametrize("raw", [b"ledger = '\xff'", b"x" * 2_000_000, b"a = " + b"[" * 100_000])
def test_files_that_are_no_settings(place: Place, raw):
    (place.cwd / "seedbatch.toml").write_bytes(raw)
    with pytest.raises(UsageError, match=r"^seedbatch\.toml"):
        place.load()


def test_a_directory_of_that_name_is_an_error(place: Place):
    (place.cwd / "seedbatch.toml").mkdir()
    with pytest.raises(UsageError, match=r"seedbatch\.toml cannot be read: Is a directory"):
        place.load()


# -- the key ------------------------------------------------------------------------------------------------------


def key_file(place: Place, raw: bytes, mode: int = 0o600) -> str:
    path = place.cwd / "key"
    path.write_bytes(raw)
    path.chmod(mode)
    return str(path)


def test_the_key_from_the_environment(place: Place):
    assert api_key({"MAXAPI_API_KEY": KEY}, place.load()).reveal() == KEY


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_key_from_a_file(place: Place, end):
    environ = {"MAXAPI_API_KEY_FILE": key_file(place, KEY.encode() + end), "MAXAPI_API_KEY": ""}
    assert api_key(environ, place.load()).reveal() == KEY


def test_no_key(place: Place):
    with pytest.raises(KeyMissing, match="no API key was given") as caught:
        api_key({"MAXAPI_API_KEY": "", "MAXAPI_API_KEY_FILE": ""}, place.load())
    assert "export MAXAPI_API_KEY" in caught.value.hint
    assert "--sandbox" in caught.value.hint


def test_the_sandbox_never_sees_a_key(place: Place):
    settings = place.load({"sandbox": True})
    assert api_key({"MAXAPI_API_KEY": KEY, "MAXAPI_API_KEY_FILE": "/nowhere"}, settings) == Secret("sandbox")


def test_two_keys_are_one_too_many(place: Place):
    with pytest.raises(UsageError, match="both MAXAPI_API_KEY and MAXAPI_API_KEY_FILE are set"):
        api_key({"MAXAPI_API_KEY": KEY, "MAXAPI_API_KEY_FILE": key_file(place, b"x")}, place.load())


@pytest.mark.parametrize("raw", [b"", b"\n", b"\r\n"])
def test_an_empty_key_file(place: Place, raw):
    with pytest.raises(KeyMissing, match="is empty"):
        api_key({"MAXAPI_API_KEY_FILE": key_file(place, raw)}, place.load())


def test_a_key_file_that_is_not_there(place: Place):
    with pytest.raises(KeyMissing, match="cannot be read: No such file") as caught:
        api_key({"MAXAPI_API_KEY_FILE": str(place.cwd / "nokey")}, place.load())
    assert "nokey" in caught.value.hint


def test_a_key_file_that_is_a_directory(place: Place):
    with pytest.raises(KeyMissing, match="cannot be read: Is a directory"):
        api_key({"MAXAPI_API_KEY_FILE": str(place.cwd)}, place.load())


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(place: Place, mode):
    with pytest.raises(KeyMissing, match="can be read by others") as caught:
        api_key({"MAXAPI_API_KEY_FILE": key_file(place, KEY.encode(), mode)}, place.load())
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("fault", [" ", "\t", "\n", "\r", "\x00", "\x7f", "ä", "\u2028", "河"])
def test_a_key_that_fits_into_no_header(place: Place, fault):
    bad = KEY[:8] + fault + KEY[8:]
    for environ in ({"MAXAPI_API_KEY": bad}, {"MAXAPI_API_KEY_FILE": key_file(place, bad.encode())}):
        with pytest.raises(KeyMissing, match="holds a character that no API key has") as caught:
            api_key(environ, place.load())
        assert KEY[:8] not in caught.value.message + caught.value.hint
        assert KEY[8:] not in caught.value.message + caught.value.hint


def test_a_key_file_that_is_no_key_file(place: Place):
    with pytest.raises(KeyMissing, match="more than 4096 characters"):
        api_key({"MAXAPI_API_KEY_FILE": key_file(place, b"x" * 100_000)}, place.load())


# -- the wrapper --------------------------------------------------------------------------------------------------


def test_a_secret_shows_itself_to_nobody(caplog):
    secret = Secret(KEY)
    logging.getLogger("seedbatch").warning("%s %r", secret, secret)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", "%s" % secret, caplog.text]  # noqa: UP031
    shown += [repr([secret]), repr({"key": secret}), str(ValueError(secret))]
    assert not any(KEY in text for text in shown)
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == KEY


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_never_pickled(protocol):
    with pytest.raises(TypeError, match="never written down"):
        pickle.dumps({"key": Secret(KEY)}, protocol)


def test_secrets_compare_by_what_they_hold():
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret(KEY + "x")
    assert Secret(KEY) != KEY
    assert Secret("ä\ud800") == Secret("ä\ud800")
    assert len({Secret(KEY), Secret(KEY)}) == 1
    assert copy.deepcopy(Secret(KEY)) == Secret(KEY)
    assert not Secret("")


# -- weight -------------------------------------------------------------------------------------------------------


def test_settings_load_nothing_heavy(place: Place):
    code = (
        "import sys, pathlib; from seedbatch.settings import load; "
        f"load({{}}, {{'XDG_CONFIG_HOME': {str(place.home)!r}}}, pathlib.Path({str(place.cwd)!r})); "
        "print(sorted({'asyncio', 'aiohttp', 'tomllib', 'platformdirs', 'yaml', 'difflib'} & set(sys.modules)))"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environ)
    assert out.stdout.strip() == "[]"


# -- prices -------------------------------------------------------------------------------------------------------

PRICE = '[[prices]]\nmodel = "seedance-2.0"\nunit = "clip"\nprice = "0.25"\ncurrency = "USD"\n'
PRICE_ROW = {"model": "seedance-2.0", "unit": "clip", "price": "0.25", "currency": "USD"}


def test_prices_stand_in_a_settings_file(place: Place):
    user = place.user(PRICE.replace("0.25", "0.99") * 2)
    assert place.load().prices == PriceSource(({**PRICE_ROW, "price": "0.99"},) * 2, str(user))
    place.project(PRICE)  # one table or the other, never a mixture
    settings = place.load()
    assert settings.prices == PriceSource((PRICE_ROW,), "seedbatch.toml")
    assert settings.origin("prices") == "seedbatch.toml"


def test_prices_may_be_one_array_or_none(place: Place):
    place.project('prices = [{model = "seedance-2.0", unit = "clip", price = "0.25", currency = "USD"}]')
    assert place.load().prices == PriceSource((PRICE_ROW,), "seedbatch.toml")
    place.user(PRICE)
    place.project("prices = []")
    assert place.load().prices == PriceSource((), "seedbatch.toml")


@pytest.mark.parametrize("name", ["prices.toml", "money/of 2026.toml"])
def test_prices_in_a_file_of_their_own_relative_to_the_working_directory(place: Place, name):
    path = place.cwd / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(PRICE * 3, encoding="utf-8")
    expected = PriceSource((PRICE_ROW,) * 3, name)
    assert place.load({"prices": Path(name)}).prices == expected
    assert place.load(SEEDBATCH_PRICES=name).prices == expected
    place.user(f'prices = "{name}"')  # from the working directory there as well
    assert place.load().prices == expected
    place.project(f'prices = "{name}"')
    assert place.load().prices == expected
    assert place.load({"prices": path}).prices == PriceSource((PRICE_ROW,) * 3, str(path))


def test_a_flag_beats_the_environment_beats_what_stands_in_a_file(place: Place):
    place.project(PRICE)
    for name, amount in (("flag.toml", "1"), ("variable.toml", "2")):
        (place.cwd / name).write_text(PRICE.replace("0.25", amount), encoding="utf-8")

    def amount_of(settings: Settings) -> str:
        (row,) = settings.prices.rows
        return row["price"]

    assert amount_of(place.load({"prices": "flag.toml"}, SEEDBATCH_PRICES="variable.toml")) == "1"
    assert amount_of(place.load(SEEDBATCH_PRICES="variable.toml")) == "2"
    assert amount_of(place.load()) == "0.25"


def test_a_price_file_that_is_not_there(place: Place):
    (place.cwd / "folder").mkdir()
    for name in ("nowhere.toml", "folder"):
        with pytest.raises(UsageError) as caught:
            place.load({"prices": name})
        assert caught.value.message == f"prices from flag --prices: there is no file {name}"


@pytest.mark.parametrize(
    "text", ["", 'prices = "x.toml"', "[prices]\na = 1", f"currency = 'USD'\n{PRICE}", f"{PRICE}\n[limits]"]
)
def test_a_price_file_holds_prices_and_nothing_else(place: Place, text):
    (place.cwd / "prices.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        place.load(SEEDBATCH_PRICES="prices.toml")
    assert caught.value.message == "prices.toml must hold [[prices]] and nothing else"
    assert caught.value.hint == "one [[prices]] table a price"


def test_a_malformed_price_file_is_told_with_its_place(place: Place):
    (place.cwd / "prices.toml").write_text(f"{PRICE}\nsource = here", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^prices\.toml:7:10: "):
        place.load({"prices": "prices.toml"})


@pytest.mark.parametrize("value", ["5", "true", '""', '{model = "a"}'])
def test_what_is_neither_prices_nor_a_file(place: Place, value):
    place.project(f"prices = {value}")
    with pytest.raises(UsageError, match=r"^prices from seedbatch\.toml is no path$"):
        place.load()


def test_a_slip_in_the_name_of_a_money_setting(place: Place):
    for text, nearest in (("price = []", "prices"), ('moderation_break = "strict"', "moderation_brake")):
        place.project(text)
        with pytest.raises(UsageError, match=r"^seedbatch\.toml: unknown setting") as caught:
            place.load()
        assert caught.value.hint == f"did you mean {nearest}?"


# -- the budget of a day ------------------------------------------------------------------------------------------


def usd(cents: int) -> Money:
    return Money(cents * 10_000, "USD")


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("max_jobs = 100", Budget(100)),
        ("max_jobs = 0", Budget(0)),
        ('max_cost = "40.00"\ncurrency = "USD"', Budget(None, usd(4000))),
        ('max_cost = 0.25\ncurrency = "EUR"', Budget(None, Money(250_000, "EUR"))),
        ('max_jobs = 7\nmax_cost = 0\ncurrency = "USD"', Budget(7, usd(0))),
        ("", Budget()),
    ],
)
def test_the_budget_of_a_day(place: Place, text, budget):
    for write in (place.project, place.user):
        write(f"[budget]\n{text}")
        assert place.load().day_budget == budget


@pytest.mark.parametrize("project_first", [True, False])
def test_of_two_budgets_the_strictest_of_each_kind_holds(place: Place, project_first):
    one, two = (place.project, place.user) if project_first else (place.user, place.project)
    one('[budget]\nmax_jobs = 50\nmax_cost = "9.00"\ncurrency = "USD"')
    two('[budget]\nmax_jobs = 60\nmax_cost = "8.99"\ncurrency = "USD"')
    assert place.load().day_budget == Budget(50, usd(899))
    two("[budget]\nmax_jobs = 0")
    assert place.load().day_budget == Budget(0, usd(900))
    two('[budget]\nmax_cost = "10"\ncurrency = "USD"')
    assert place.load().day_budget == Budget(50, usd(900))


def test_two_currencies_cannot_be_compared(place: Place):
    place.project('[budget]\nmax_cost = "9.00"\ncurrency = "USD"')
    user = place.user('[budget]\nmax_cost = "9.00"\ncurrency = "EUR"')
    with pytest.raises(UsageError) as caught:
        place.load()
    assert caught.value.message == f"{user} [budget] is in EUR, and another file's in USD"
    assert caught.value.hint == "two currencies cannot be compared: name one"
    place.user("[budget]\nmax_jobs = 5")  # a count has no currency
    assert place.load().day_budget == Budget(5, usd(900))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_jobs = -1", "must not be negative"),
        ("max_jobs = 1.5", "max_jobs must be a whole number"),
        ("max_jobs = true", "must be a number"),
        ("max_jobs = nan", "must be a finite number"),
        ('max_cost = "much"\ncurrency = "USD"', "must be an amount such as 12.50"),
        ('max_cost = -1\ncurrency = "USD"', "must be a finite amount, and not negative"),
        ('max_cost = "0.0000001"\ncurrency = "USD"', "has more than six decimal places"),
    ],
)
def test_what_is_no_cap(place: Place, text, message):
    place.project(f"[budget]\n{text}")
    with pytest.raises(UsageError) as caught:
        place.load()
    assert caught.value.message == f"seedbatch.toml [budget]: {message}"
    assert caught.value.hint == 'max_jobs = 100, max_cost = "40.00"'


@pytest.mark.parametrize("text", ["max_cost = 5", 'currency = "USD"', 'max_jobs = 5\ncurrency = "USD"'])
def test_an_amount_and_its_currency_go_together(place: Place, text):
    place.project(f"[budget]\n{text}")
    with pytest.raises(UsageError) as caught:
        place.load()
    assert caught.value.message == "seedbatch.toml [budget]: max_cost and currency go together"
    assert caught.value.hint == 'max_cost = "40.00", currency = "USD"'


@pytest.mark.parametrize("currency", ['"usd"', '""', '"DOLLAR"', "5"])
def test_what_is_no_currency(place: Place, currency):
    place.project(f"[budget]\nmax_cost = 5\ncurrency = {currency}")
    with pytest.raises(UsageError) as caught:
        place.load()
    assert caught.value.message == "seedbatch.toml [budget]: currency must be three capital letters"
    assert caught.value.hint == 'currency = "USD"'


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[budget]\nmax_job = 5", "seedbatch.toml [budget]: unknown setting 'max_job'", "did you mean max_jobs?"),
        (
            "[budget]\nzzz = 5",
            "seedbatch.toml [budget]: unknown setting 'zzz'",
            "known are max_jobs, max_cost, currency",
        ),
        ("budget = 5", "seedbatch.toml: budget must be a table", "[budget]"),
        ("max_cost = 5", "seedbatch.toml: unknown setting 'max_cost'", None),
    ],
)
def test_unknown_names_in_a_budget_are_errors(place: Place, text, message, hint):
    place.project(text)
    with pytest.raises(UsageError) as caught:
        place.load()
    assert caught.value.message == message
    assert hint is None or caught.value.hint == hint


# -- the moderation brake -----------------------------------------------------------------------------------------


def test_the_brake_by_flag_environment_and_file(place: Place):
    assert place.load().moderation_brake == "expected"
    user = place.user('moderation_brake = "strict"')
    settings = place.load()
    assert (settings.moderation_brake, settings.origin("moderation_brake")) == ("strict", str(user))
    place.project('moderation_brake = "expected"')
    assert place.load().moderation_brake == "expected"
    settings = place.load(SEEDBATCH_MODERATION_BRAKE=" Strict ")
    assert settings.moderation_brake == "strict"
    assert settings.origin("moderation_brake") == "environment SEEDBATCH_MODERATION_BRAKE"
    settings = place.load({"moderation_brake": "expected"}, SEEDBATCH_MODERATION_BRAKE="strict")
    assert settings.moderation_brake == "expected"
    assert settings.origin("moderation_brake") == "flag --moderation-brake"


@pytest.mark.parametrize("value", ["off", "none", "1", "strictly"])
def test_what_is_no_brake(place: Place, value):
    with pytest.raises(UsageError, match=r"^moderation_brake from environment SEEDBATCH_MODERATION_BRAKE must be"):
        place.load(SEEDBATCH_MODERATION_BRAKE=value)
    place.project("moderation_brake = true")
    with pytest.raises(UsageError) as caught:
        place.load()
    assert caught.value.message == 'moderation_brake from seedbatch.toml must be "expected" or "strict"'
