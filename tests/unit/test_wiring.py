from __future__ import annotations

import json
import socket

import pytest
from samples import NOON, batch, spec

from seedbatch.domain.errors import LedgerError, UsageError
from seedbatch.domain.jobs import Limits
from seedbatch.domain.secret import Secret
from seedbatch.settings import load
from seedbatch.wiring import (
    _own_origin,
    ceilings,
    check_output,
    open_plant,
    open_records,
    sandbox_file,
    serve_sandbox,
    taken_names,
)

KEY = Secret("k-123456")


@pytest.fixture
def settings(tmp_path):
    def make(**flags):
        flags.setdefault("ledger", tmp_path / "state/ledger.db")
        flags.setdefault("output_dir", tmp_path / "outputs")
        return load(flags, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}, tmp_path)

    return make


def test_there_are_no_records_before_there_is_a_ledger(settings, tmp_path):
    assert open_records(settings()) is None
    assert list(tmp_path.iterdir()) == []  # asking makes nothing


async def test_a_plant_is_opened_and_its_ledger_read(settings):
    chosen = settings(base_url="http://127.0.0.1:9")
    async with open_plant(chosen, KEY) as plant:
        assert plant.address == "http://127.0.0.1:9"
        await plant.ledger.declare(batch(spec("a")), NOON)
        records = open_records(chosen)
        assert records is not None
        assert [job.address for job in records.jobs()] == ["a"]
        records.close()


@pytest.mark.parametrize("sandbox", [False, True])
async def test_a_ledger_is_never_used_with_the_other_provider(settings, sandbox):
    async with open_plant(settings(sandbox=sandbox, base_url="http://127.0.0.1:9"), KEY):
        pass
    other = settings(sandbox=not sandbox, base_url="http://127.0.0.1:9")
    with pytest.raises(LedgerError, match="belongs to the"):
        async with open_plant(other, KEY):
            pass
    with pytest.raises(LedgerError, match="is a ledger of the"):
        open_records(other)


async def test_the_sandbox_runs_as_long_as_its_plant_and_keeps_its_file_beside_the_ledger(settings):
    chosen = settings(sandbox=True)
    async with open_plant(chosen, KEY) as plant:
        assert plant.address.startswith("http://127.0.0.1:")
        assert sandbox_file(chosen) == chosen.ledger.with_name("ledger-provider.db")
        assert sandbox_file(chosen).exists()
        address = plant.address
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    async with open_plant(chosen, KEY) as plant:
        assert plant.address == address  # links that were given out stay good


async def test_a_broken_fault_plan_is_told_and_nothing_stays_open(settings, tmp_path):
    plan = tmp_path / "faults.yaml"
    plan.write_text(json.dumps({"rules": [{"on": "lunch", "do": "429"}]}))
    chosen = settings(sandbox=True, sandbox_faults=plan)
    with pytest.raises(UsageError, match=r"rules\[0\]\.on"):
        async with open_plant(chosen, KEY):
            pass
    assert list((chosen.ledger.parent / "owners").iterdir()) == []
    with pytest.raises(UsageError, match=r"rules\[0\]\.on"):
        await serve_sandbox(
            tmp_path / "s.db", "127.0.0.1", 0, speed=1, faults=plan, on_ready=lambda _address: pytest.fail("started")
        )


async def test_an_address_that_is_taken_is_told(tmp_path, unused_tcp_port_factory, settings):
    async with open_plant(settings(sandbox=True), KEY) as plant:
        port = int(plant.address.rpartition(":")[2])
        with pytest.raises(UsageError, match="cannot listen at"):
            await serve_sandbox(
                tmp_path / "s.db", "127.0.0.1", port, speed=1, faults=None, on_ready=lambda _address: pytest.fail("up")
            )


@pytest.mark.parametrize(
    ("sandbox", "named", "manifest", "expected"),
    [
        (False, {}, Limits(), Limits(2, 100, 60)),
        (True, {}, Limits(), Limits(2, 100, None)),
        (False, {"submitting": 5}, Limits(submitting=3), Limits(3, 100, 60)),
        (False, {"submitting": 3}, Limits(submitting=5), Limits(3, 100, 60)),
        (False, {}, Limits(in_flight=1_000, submits_per_minute=600), Limits(2, 1_000, 600)),
        (True, {"submits_per_minute": 30}, Limits(submits_per_minute=90), Limits(2, 100, 30)),
    ],
)
def test_the_strictest_named_ceiling_holds(settings, sandbox, named, manifest, expected):
    assert ceilings(settings(sandbox=sandbox, **named), manifest) == expected


def test_names_that_are_taken(settings):
    chosen = settings()
    check_output(chosen)
    (chosen.output_dir / "a.mp4").write_bytes(b"x")
    assert taken_names(chosen)(["a", "b"]) == ["a"]


def test_an_output_folder_that_cannot_be_is_told(settings, tmp_path):
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(UsageError, match="cannot be written"):
        check_output(settings())


@pytest.mark.parametrize(
    ("address", "origins"),
    [
        ("http://127.0.0.1:8080", {"http://127.0.0.1:8080"}),
        ("http://localhost", {"http://localhost:80"}),
        ("https://localhost/base", {"https://localhost:443"}),
        ("http://[::1]:9", {"http://[::1]:9"}),
        ("https://api.maxapi.io", set()),
        ("http://127.0.0.1.example.com", set()),
        ("http://10.0.0.1:80", set()),
    ],
)
def test_only_a_loopback_api_may_offer_private_results(address, origins):
    assert _own_origin(address) == origins
