"""How rows are divided among clients, and what their server makes of what they send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.training.conftest import rows
from tests.training.depth.conftest import stage

from tunewright.domain.depth import Average, Depth
from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Stage
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.models.load import load_model
from tunewright.tools.models.resolve import Found
from tunewright.tools.training.batch import StageData, stage_data
from tunewright.tools.training.depth.average import averaging
from tunewright.tools.training.depth.clients import dirichlet, iid, in_turns, parts
from tunewright.tools.training.depth.course import course
from tunewright.tools.training.depth.federation import Federation

A, B = "q.lora_A.default.weight", "q.lora_B.default.weight"
CLASSES: dict[str, list[int]] = {"sea": list(range(40)), "sky": list(range(40, 80)), "sun": list(range(80, 120))}


class TestEveryRowHasOneClient:
    @given(count=st.integers(1, 40), clients=st.integers(1, 10), seed=st.integers(0, 99))
    def test_in_equal_parts(self, count: int, clients: int, seed: int) -> None:
        found = iid(range(count), clients, seed)
        assert sorted(place for part in found for place in part) == list(range(count))
        assert max(map(len, found)) - min(map(len, found)) <= 1

    @given(clients=st.integers(1, 60), alpha=st.sampled_from([0.01, 0.5, 100.0]), seed=st.integers(0, 99))
    def test_by_dirichlet(self, clients: int, alpha: float, seed: int) -> None:
        found = dirichlet(CLASSES, clients, alpha, seed)
        assert sorted(place for part in found for place in part) == list(range(120)) and all(found)

    def test_a_small_alpha_makes_clients_differ(self) -> None:
        def purity(alpha: float) -> float:
            """The mean share of a client's commonest class."""
            split = dirichlet(CLASSES, 4, alpha, 1)
            return sum(max(Counter(place // 40 for place in part).values()) / len(part) for part in split) / 4

        assert purity(0.05) > 0.75
        assert purity(1000.0) < 0.45


@pytest.fixture(scope="module")
def made(tiny: Found) -> Any:
    """Makes the data of a stage of 24 rows in three labels."""
    tokenizer = load_model(tiny.path)[1]
    task = TaskSpec(
        model="tiny", sources=(DataSource(path="a.jsonl", name="a"),), format="label", input_field="input",
        target_field="target", metric=Metric(name="accuracy"), labels=("sea", "sky", "sun"),
    )  # fmt: skip

    def make(depth: dict[str, Any], steps: int) -> tuple[StageData, Depth]:
        chosen = Stage.model_validate(stage(depth, steps=steps))
        return stage_data(rows(24), task, chosen, 0, 1, tokenizer), chosen.depth

    return make


def test_each_step_has_rows_of_its_client(made: Any) -> None:
    data, depth = made({"clients": 3, "local_steps": 2, "partition": "dirichlet"}, 24)
    way, split = course(depth, 1, 24), parts(data, depth, 5, 0)
    ordered = in_turns(data, way, split, 5, 0)
    assert len(ordered.order) == 24 * 4
    for step in range(24):
        own = ordered.order[step * 4 : step * 4 + 4]
        assert set(own) <= set(split[way.at(step).client])
    assert {place for part in split for place in part} == set(range(24))


def test_a_client_goes_through_its_rows_before_it_sees_one_again(made: Any) -> None:
    data, depth = made({"clients": 2, "local_steps": 1}, 6)
    split = parts(data, depth, 5, 0)
    ordered = in_turns(data, course(depth, 1, 6), split, 5, 0)
    assert sorted(ordered.order) == list(range(24)), "three steps of four rows each are a client's twelve"


def test_one_client_changes_no_order(made: Any) -> None:
    data, depth = made({}, 6)
    assert in_turns(data, course(depth, 1, 6), parts(data, depth, 5, 0), 5, 0).order == data.order


def test_labels_are_what_a_dirichlet_split_is_over(made: Any) -> None:
    data, depth = made({"clients": 3, "partition": "dirichlet", "alpha": 0.01}, 6)
    counts = [Counter(data.rows[place]["target"] for place in part) for part in parts(data, depth, 5, 0)]
    for label in ("sea", "sky", "sun"):
        assert max(count[label] for count in counts) >= 7, "nearly all of a label's 8 rows are one client's"


def test_more_clients_than_rows_are_refused(made: Any) -> None:
    data, depth = made({"clients": 25}, 30)
    with pytest.raises(FaultError, match="25 clients cannot share 24 training rows"):
        parts(data, depth, 5, 0)


def factors(seed: int, rank: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {A: torch.randn(rank, 5), B: torch.randn(4, rank)}


def product(values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return values[B] @ values[A]


@pytest.mark.parametrize("kind", ["ab", "share_a", "product_svd"])
class TestAnAverage:
    def test_of_equal_clients_is_that_client(self, kind: Average) -> None:
        one, server = factors(0), averaging(kind, [0.5, 0.25, 0.25], [A, B])
        server.open(factors(9), 3)
        for client, weight in enumerate([0.5, 0.25, 0.25]):
            server.add(client, weight, one)
        torch.testing.assert_close(product(server.result()), product(one))

    def test_of_one_client_is_that_client_to_the_bit(self, kind: Average) -> None:
        one, server = factors(0), averaging(kind, [1.0], [A, B])
        server.open(factors(9), 1)
        server.add(0, 1.0, one)
        found = server.result()
        assert torch.equal(found[A], one[A]) and torch.equal(found[B], one[B])

    def test_goes_on_after_a_stop_between_two_clients(self, kind: Average) -> None:
        results = []
        for stopped in (False, True):
            server = averaging(kind, [0.5, 0.5], [A, B])
            server.open(factors(9), 2)
            server.add(0, 0.5, factors(1))
            if stopped:
                state = server.state()
                server = averaging(kind, [0.5, 0.5], [A, B])
                server.restore(state)
            server.add(1, 0.5, factors(2))
            results.append(server.result())
        assert all(torch.equal(results[0][name], results[1][name]) for name in (A, B))


def test_fedavg_by_hand() -> None:
    server = averaging("ab", [0.75, 0.25], ["w"])
    server.add(0, 0.75, {"w": torch.tensor([4.0])})
    server.add(1, 0.25, {"w": torch.tensor([8.0])})
    assert server.result()["w"].item() == 5.0


def test_the_mean_of_the_factors_is_not_the_factors_of_the_mean() -> None:
    clients = [factors(1), factors(2)]
    mean = (product(clients[0]) + product(clients[1])) / 2
    found = {}
    for kind in ("ab", "product_svd"):
        server = averaging(kind, [0.5, 0.5], [A, B])
        for number, one in enumerate(clients):
            server.add(number, 0.5, one)
        found[kind] = torch.dist(product(server.result()), mean).item()
    left = torch.linalg.svdvals(mean)[2:]
    assert found["product_svd"] == pytest.approx(float(left.norm()), rel=1e-4), "the nearest of rank two"
    assert found["ab"] > found["product_svd"]


def test_a_rank_above_the_modules_width_has_no_more_directions() -> None:
    server = averaging("product_svd", [0.5, 0.5], [A, B])
    clients = [{A: torch.randn(6, 3), B: torch.randn(2, 6)} for _ in range(2)]
    for number, one in enumerate(clients):
        server.add(number, 0.5, one)
    found = server.result()
    assert found[A].shape == (6, 3) and found[B].shape == (2, 6)
    torch.testing.assert_close(product(found), (product(clients[0]) + product(clients[1])) / 2)


def test_shared_a_leaves_each_client_its_b() -> None:
    server = averaging("share_a", [0.5, 0.5], [A, B])
    server.open(factors(9), 2)
    for client in (0, 1):
        server.add(client, 0.5, factors(client))
    result = server.result()
    torch.testing.assert_close(result[A], (factors(0)[A] + factors(1)[A]) / 2)
    for client in (0, 1):
        assert torch.equal(server.own(client)[B], factors(client)[B]) and A not in server.own(client)
    assert [server.shared(A, last=False), server.shared(B, last=False), server.shared(B, last=True)] == [
        True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["share_a", "product_svd"])
def test_averages_of_lora_need_lora(kind: Average) -> None:
    with pytest.raises(UsageError, match="'ia3_l' is neither"):
        averaging(kind, [1.0], [A, B, "ia3_l"])


def upload(depth: Depth, layers: int, steps: int, average: Average = "ab") -> int:
    """Bytes sent where each layer has an adapter of 18 numbers."""
    way = course(depth, layers, steps)
    federation = Federation([10, 30], average, [A, B])
    for turn in way.turns:
        trained = {
            f"{layer}.{name}": one for layer in range(way.depths[turn.phase]) for name, one in factors(0).items()
        }
        federation.enter(trained, turn)
        federation.leave(trained, turn)
    return federation.uploaded


def test_what_clients_send_is_in_proportion_to_the_layers_of_the_depth() -> None:
    one = 2 * 4 * 18
    assert upload(Depth(clients=2, local_steps=4), 8, 8) == 8 * one
    assert upload(Depth(clients=2, local_steps=4), 4, 8) == 4 * one, "half of the layers, half of the bytes"
    assert upload(Depth(stages=2, clients=2, local_steps=4), 8, 16) == (4 + 8) * one
    assert upload(Depth(stages=4, clients=2, local_steps=4), 8, 32) == (1 + 2 + 4 + 8) * one


def test_clients_that_keep_b_send_less() -> None:
    whole = upload(Depth(clients=2, local_steps=1), 3, 8)
    assert upload(Depth(clients=2, local_steps=1, average="share_a"), 3, 8, "share_a") == whole * (4 * 10 + 8) / (
        4 * 18
    )


def test_weights_are_shares_of_the_rows_and_sum_to_one() -> None:
    federation = Federation([10, 30, 60], "ab", [A])
    assert federation.weights == pytest.approx([0.1, 0.3, 0.6]) and sum(federation.weights) == pytest.approx(1.0)


def test_the_server_is_what_is_seen_while_a_client_trains() -> None:
    way, federation = course(Depth(clients=2, local_steps=1), 1, 4), Federation([1, 1], "ab", ["w"])
    weight = {"w": torch.tensor([1.0])}
    federation.enter(weight, way.turns[0])
    weight["w"] += 5
    with federation.served(weight):
        assert weight["w"].item() == 1.0
    assert weight["w"].item() == 6.0
    federation.leave(weight, way.turns[0])
    federation.enter(weight, way.turns[1])
    assert weight["w"].item() == 1.0, "the second client begins where the first one did"
    weight["w"] += 1
    federation.leave(weight, way.turns[1])
    assert weight["w"].item() == 4.0, "the mean of 6 and 2"
