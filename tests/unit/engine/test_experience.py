from __future__ import annotations

from seedbatch.engine.experience import Experience


def test_a_few_tasks_teach_nothing():
    assert Experience().usual("m") is None
    assert Experience({"m": [1.0] * 7}).usual("m") is None
    assert Experience({"m": [1.0] * 8}).usual("n") is None


def test_what_is_usual_goes_by_the_latest_hundred():
    experience = Experience({"m": [float(number) for number in range(99, -1, -1)]})  # the latest first
    lower, upper = experience.usual("m")
    assert (round(lower), round(upper)) == (29, 70)
    for _ in range(100):
        experience.add("m", 500.0)
    assert experience.usual("m") == (500.0, 500.0)


def test_the_oldest_of_many_is_forgotten_first():
    experience = Experience({"m": [10.0] * 100 + [1_000.0] * 900})
    assert experience.usual("m") == (10.0, 10.0)


def test_what_is_added_counts_at_once():
    experience = Experience()
    for seconds in (10, 20, 30, 40, 50, 60, 70, 80):
        assert experience.usual("m") is None
        experience.add("m", seconds)
    lower, upper = experience.usual("m")
    assert 20 <= lower <= 30
    assert 60 <= upper <= 70
