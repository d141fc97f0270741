"""What a choice during training is put around: an objective, all of it."""

from __future__ import annotations

from tunewright.tools.training.guided import Guided
from tunewright.tools.training.learning import Learning


def test_a_guide_passes_on_all_that_an_objective_does() -> None:
    own = {name for name, value in vars(Learning).items() if callable(value) and not name.startswith("_")}
    assert own <= vars(Guided).keys(), own - vars(Guided).keys()
