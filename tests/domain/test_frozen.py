"""Values and their hashes: one content, one spelling, one hash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tunewright.domain import job, outcome, proposal, recipe, task
from tunewright.domain.frozen import Frozen, canonical_json, content_hash, flatten, short
from tunewright.domain.job import SplitIdentity

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


class TestHash:
    @given(_JSON)
    def test_it_survives_a_journey_through_any_json_writer(self, value: Any) -> None:
        for writing in ({"indent": 2}, {"ensure_ascii": True}, {"sort_keys": True}):
            assert content_hash(json.loads(json.dumps(value, **writing))) == content_hash(value)  # type: ignore[arg-type]  options by name

    @given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=2))
    def test_the_order_of_keys_is_nothing(self, value: dict[str, int]) -> None:
        assert content_hash(dict(reversed(value.items()))) == content_hash(value)

    def test_it_is_what_it_was(self) -> None:
        assert canonical_json({"b": [1, 1.5], "a": "ü"}) == '{"a":"ü","b":[1,1.5]}'
        assert short(content_hash({"a": 1})) == "015abd7f5cc5"

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), [float("-inf")]])
    def test_numbers_without_a_spelling_are_refused(self, bad: Any) -> None:
        with pytest.raises(ValueError, match="Out of range"):
            content_hash(bad)

    def test_a_field_is_never_hidden_by_the_content_s_own_hash(self) -> None:
        split = SplitIdentity(digest="abc", rows=3)
        assert split.digest == "abc" and split.content_digest != "abc" and len(split.content_digest) == 64

    def test_no_noun_has_a_field_that_an_attribute_of_the_base_hides(self) -> None:
        reserved = set(dir(Frozen))
        for module in (job, outcome, proposal, recipe, task):
            for noun in vars(module).values():
                if isinstance(noun, type) and issubclass(noun, Frozen):
                    assert not reserved & noun.model_fields.keys(), noun


class TestFrozen:
    def test_a_value_cannot_be_changed_and_takes_no_unknown_field(self) -> None:
        split = SplitIdentity(digest="abc", rows=3)
        with pytest.raises(ValidationError):
            split.rows = 4
        with pytest.raises(ValidationError, match="colour"):
            SplitIdentity.model_validate({"digest": "abc", "rows": 3, "colour": "red"})


class TestFlatten:
    def test_lists_of_mappings_are_entered_and_lists_of_values_are_not(self) -> None:
        found = flatten({"seed": 1, "stages": [{"lr": 1e-4, "data": {"weights": [0.5, 0.5]}}, {"lr": 2e-4}]})
        assert found == {"seed": 1, "stages.0.lr": 1e-4, "stages.0.data.weights": [0.5, 0.5], "stages.1.lr": 2e-4}

    @given(_JSON.filter(lambda value: isinstance(value, dict) and "." not in str(value)))
    def test_every_path_leads_back(self, value: dict[str, Any]) -> None:
        from tunewright.domain.path import get

        for path, inner in flatten(value).items():
            assert get(value, path) == inner
