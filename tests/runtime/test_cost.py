"""Costs: they add up by stage, and operations by what was counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.runtime.cost import Cost, CostBreakdown, Counts, Meter, Operations


def test_costs_add_up_by_stage() -> None:
    costs = CostBreakdown().add("invert", Cost(30, 15, 1.0, 2.0)).add("solve", Cost(400, 12, 4.0))
    costs = costs.add("invert", Cost(2, 1, 0.5, 0.5))
    assert costs["invert"] == Cost(32, 16, 1.5, 2.5)
    assert costs["decode"] == Cost()
    assert costs.as_dict() == {
        "nfe": 432,
        "batches": 28,
        "seconds": 5.5,
        "tflop": 2.5,
        "stages": {
            "invert": {"nfe": 32, "batches": 16, "seconds": 1.5, "tflop": 2.5},
            "solve": {"nfe": 400, "batches": 12, "seconds": 4.0, "tflop": 0.0},
        },
    }
    assert [name for name, _ in costs.stages] == ["invert", "solve"]


numbers = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.sampled_from("abc"), numbers, numbers), max_size=8))
def test_the_total_is_the_sum_of_everything_added(added: list[tuple[str, int, int]]) -> None:
    costs = CostBreakdown()
    for name, nfe, batches in added:
        costs = costs.add(name, Cost(nfe, batches))
    assert costs.total.nfe == sum(nfe for _, nfe, _ in added)
    assert costs.total.batches == sum(batches for _, _, batches in added)
    assert costs.total - costs.total == Cost()


def test_operations_count_a_backward_pass_as_two_evaluations() -> None:
    operations = Operations(evaluation=3e12, encoding=5e12, decoding=7e12)
    counts = Counts(10, 2, 4, 2, 1)  # evaluations, batches, of which backward, images in and out
    assert operations.tflop(counts) == (10 + 2 * 4) * 3 + 2 * 5 + 1 * 7
    assert Operations().tflop(counts) == 0


def test_a_meter_counts_what_several_threads_add() -> None:
    meter = Meter()

    def work(_: int) -> None:
        for _ in range(500):
            meter.add(Counts(nfe=2, batches=1, decoded=3))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert meter.read() == Counts(nfe=4000, batches=2000, decoded=6000)


def test_a_cost_scales_in_all_but_its_batches() -> None:
    assert Cost(8, 1, 3.0, 2.0).scaled(1.5) == Cost(12, 1, 4.5, 3.0)
