from __future__ import annotations

import json

import pytest

from seedbatch.domain.errors import Exit
from seedbatch.domain.health import Check, Health, doctors_body, exit_of, is_doctors


@pytest.mark.parametrize(
    ("exits", "expected"),
    [
        ([], Exit.OK),
        ([Exit.USAGE], Exit.USAGE),
        ([Exit.USAGE, Exit.PROVIDER], Exit.PROVIDER),
        ([Exit.PROVIDER, Exit.KEY, Exit.USAGE], Exit.KEY),
        ([Exit.PROVIDER, Exit.KEY, Exit.LEDGER], Exit.LEDGER),
    ],
)
def test_the_first_problem_by_precedence_is_what_a_script_is_told(exits, expected):
    harmless = [Check("key", verdict, "", exit=Exit.LEDGER) for verdict in Health if verdict is not Health.PROBLEM]
    problems = [Check("x", Health.PROBLEM, "", exit=code) for code in exits]
    assert exit_of([*harmless, *problems]) == expected


def test_a_test_callback_is_known_by_its_body():
    assert is_doctors(doctors_body("0123456789abcdef"))
    assert json.loads(doctors_body("n")) == {"seedbatch": "doctor", "nonce": "n"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"doctor"',
        b"\xff\xfe",
        b'{"seedbatch": "doctor"}',
        b'{"seedbatch": "nurse", "nonce": "n"}',
        b'{"seedbatch": "doctor", "nonce": "n", "data": {"taskId": "t"}}',
        b'{"code": 0, "data": {"taskId": "t", "status": "SUCCESS"}}',
        b"[" * 100_000,
        doctors_body("n" * 1000),
    ],
)
def test_any_other_body_is_no_test(body):
    assert not is_doctors(body)
