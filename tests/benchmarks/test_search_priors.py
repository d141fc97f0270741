"""The benchmarks of a planner's guesses and of hopeless ideas play studies that are what they say."""

from __future__ import annotations

from typing import Any

TRAININGS = 2.0


def test_guesses_are_as_good_as_their_arm_and_a_study_begins_with_them(bench: Any) -> None:
    priors = bench("priors")
    world = priors.world_of("concept", 0)
    assert priors.priors("off", world, 0, 0.7) == ()
    worth = {}
    for arm in ("good", "harmful"):
        guessed = priors.priors(arm, world, 0, 0.7)
        recipe = world.space.build({one.name: one.value for one in guessed})
        worth[arm] = world.truth(recipe)
        replay = priors.played(world, "tree", "promising", TRAININGS * world.default_s, 0, (), priors=guessed)
        assert world.settings(replay.study.recipe_of("t1").recipe) == world.settings(recipe)
    assert worth["good"] > worth["harmful"]


def test_a_study_of_guesses_is_kept_and_read_as_it_was(bench: Any, tmp_path: Any) -> None:
    priors = bench("priors")
    course = priors.play("off", "concept", 0, TRAININGS, 0.7)
    priors.write(tmp_path / "kept", ("off", "concept", 0), course)
    assert priors.read(tmp_path / "kept") == {("off", "concept", 0): course} and priors.read(tmp_path / "none") == {}
    figures = bench("figures").Figures(
        {"concept": priors.ground("concept", TRAININGS)}, {"off": {("concept", seed): course for seed in range(2)}}
    )
    assert len(priors.table(figures, ["off"]).splitlines()) == 3


def test_of_what_is_dropped_it_is_said_how_much_would_have_won(bench: Any) -> None:
    hopeless = bench("hopeless")
    answers = [hopeless.Asked("any", 12, chance, chance > 0.01, True) for chance in (1e-9, 1e-3, 0.04, 0.5)]
    rows = [line.split("|") for line in hopeless.table(answers).splitlines()[2:]]
    at = {row[2].strip(): [cell.strip() for cell in row] for row in rows if row[1].strip().startswith("10")}
    assert at["0.05"][5:8] == ["75%", "33.3%", "100.0%"] and at["0.01"][5:7] == ["50%", "0.0%"]
    assert at["0.05"][8:10] == ["50.0%", "50.0%"]
    assert "(ours)" in at["0.0001"][1]
