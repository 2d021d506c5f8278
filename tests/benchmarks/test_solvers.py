"""The benchmark measures what it says: costs, true lengths, shortest geodesics, verdicts."""

import json
import math
import re
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from benchmarks.record import RESULTS, ROOT, commit
from benchmarks.solvers import __main__ as command
from benchmarks.solvers.compare import compare
from benchmarks.solvers.contenders import ENERGY, FLOW, PUBLISHED, Contender, Run, by_geodesic
from benchmarks.solvers.lengths import shortest, true_length
from benchmarks.solvers.scaling import reduced
from benchmarks.solvers.tables import median, page
from benchmarks.solvers.tape import Recorded, Tape
from diffusion_geodesics.bvp import (
    BoundaryProblem,
    PreconditionedFlow,
    PublishedDescent,
    Shooting,
    solve_bvp,
)
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import chord
from tests.exact import vector
from tests.problems.families import FAMILIES, Problem, scaling
from tests.problems.reference import REFERENCES
from tests.problems.stacking import MixtureEach, stacked

KNOWN = {r.name: r for r in REFERENCES}


def _stacked(family: int, seeds: int) -> Problem:
    return stacked([FAMILIES[family].make(s) for s in range(seeds)])


@pytest.mark.parametrize("family", [0, 2, 3, 9, 10], ids=lambda i: FAMILIES[i].name)
def test_problems_side_by_side_are_the_problems(family: int):
    problems = [FAMILIES[family].make(s) for s in range(3)]
    together = stacked(problems)
    assert isinstance(together.density, MixtureEach)
    generator = torch.Generator().manual_seed(0)
    x = together.start + torch.randn(
        4, *together.start.shape, generator=generator, dtype=torch.float64
    )
    none = torch.zeros(1, dtype=torch.float64)
    score, level = together.density(none, x), together.density.log_prob(none, x)
    for i, problem in enumerate(problems):
        assert_close(score[:, i], problem.density(none, x[:, i]), rtol=1e-9, atol=1e-9)
        alone = problem.density.log_prob(none, x[:, i])
        assert_close(level[:, i].diff(), alone.diff(), rtol=1e-9, atol=1e-9)
    picked = together.density.select(torch.tensor([2]))
    assert_close(picked(none, x[:, 2:]), score[:, 2:])


def test_only_mixtures_can_be_stacked():
    problem = KNOWN["half-plane to (2, 1)"].make()
    assert stacked([problem]).start.shape == (1, 2)
    with pytest.raises(ValueError, match="HalfPlane"):
        stacked([problem, problem])


def test_a_batch_is_charged_as_a_loop_is():
    problems = [FAMILIES[0].make(s) for s in range(4)]
    batch = FLOW.run(stacked(problems), None)
    singles = [FLOW.run(stacked([p]), None) for p in problems]
    assert batch.score_evals.tolist() == [int(s.score_evals) for s in singles]
    assert batch.calls.tolist() == [int(s.calls) for s in singles]
    assert len(set(batch.calls.tolist())) > 1
    assert_close(batch.length, torch.cat([s.length for s in singles]), rtol=1e-8, atol=0)


SHORT_DESCENT = Contender(
    "short descent", by_geodesic(PublishedDescent(steps=8, learning_rate=0.02, gives_up=False)), 16
)
SHOOTING = Contender("shooting", by_geodesic(Shooting(segments=2)))


@pytest.mark.whole
@pytest.mark.parametrize(
    "contender",
    [FLOW, PUBLISHED, SHORT_DESCENT, ENERGY, pytest.param(SHOOTING, marks=pytest.mark.slow)],
    ids=lambda c: c.name,
)
def test_costs_are_those_the_solver_reports(contender: Contender):
    run = contender.run(stacked([KNOWN["von Mises-Fisher, ακ 0.5"].make()]), None)
    assert int(run.score_evals.sum()) == run.reported_evals
    evals = torch.stack([i.score_evals for i in run.iterates])[:, 0]
    assert bool((evals.diff() > 0).all())
    assert int(evals[-1]) <= int(run.score_evals)


def test_points_are_kept_in_a_basis():
    problem = _stacked(0, 1)
    basis = torch.eye(2, dtype=torch.float64)[:, :1]
    tape = Tape(1, basis)
    x = torch.randn(5, 1, 2, dtype=torch.float64)
    Recorded(problem.density, tape, torch.tensor([0]))(torch.zeros(1).double(), x)
    assert_close(tape.points, x[..., :1])
    assert (tape.score_evals.tolist(), tape.calls.tolist()) == ([5], [1])


def _semicircle(intervals: int) -> Tensor:
    angle = 0.75 * math.pi - 0.5 * math.pi * torch.linspace(0, 1, intervals + 1).double()
    return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], -1)[:, None]


def test_true_length_of_a_semicircle():
    problem = stacked(
        [Problem(dg.densities.HalfPlane(), vector(-1, 1), vector(1, 1), 1.0, dg.manifolds.Flat())]
    )
    exact = math.acosh(3)
    errors = [float(true_length(problem, _semicircle(n))) - exact for n in (8, 16, 32)]
    assert min(errors) > 0
    assert errors[2] < 1e-6
    many = torch.stack([_semicircle(32), _semicircle(32) * 1.0], 1)
    assert_close(true_length(problem, many), torch.full((2, 1), exact + errors[2]).double())


@pytest.mark.parametrize("name", ["ring", "three components", "von Mises-Fisher, ακ 2"])
def test_shortest_is_the_reference(name: str):
    known = KNOWN[name]
    found = shortest(stacked([known.make()]))
    assert found.disagreement < 1e-6
    assert found.residual < 1e-6
    assert float(found.length) == pytest.approx(known.length, rel=2 * known.digits)


def test_shortest_does_not_stop_at_a_saddle():
    """Antipodal points of a ring: the chord leads through the hole, 31 times as long."""
    ring = KNOWN["ring"].make()
    problem = stacked([replace(ring, end=-ring.start)])
    assert float(shortest(problem).length) == pytest.approx(6.0256, rel=1e-4)
    row = compare("ring", False, problem, FLOW, vector(6.0256))
    assert (row.success, row.right, row.silent_failures) == (0, 0, 1)


def _claiming(nodes: Tensor, result: dg.Result, length: float, error: float) -> Contender:
    """A solver that returns a given curve and says what it is told to."""
    run = Run(
        (),
        nodes,
        vector(length),
        vector(error),
        (result,),
        torch.tensor([1]),
        torch.tensor([1]),
        1,
        0.0,
    )
    return Contender("claim", lambda problem, basis: run)


@pytest.mark.parametrize(
    ("right", "result", "verdict"),
    [
        (True, dg.Result.converged, (1, 0, 0, 0)),
        (False, dg.Result.not_converged, (0, 1, 0, 0)),
        (False, dg.Result.length_converged, (0, 0, 1, 0)),
        (True, dg.Result.max_steps, (0, 0, 0, 1)),
    ],
)
def test_verdicts(right: bool, result: dg.Result, verdict: tuple[int, ...]):
    ends = vector(-1, 1), vector(1, 1)
    problem = stacked([Problem(dg.densities.HalfPlane(), *ends, 1.0, dg.manifolds.Flat())])
    line = dg.paths.Line(*ends)(torch.linspace(0, 1, 33).double())[:, None]
    exact = math.acosh(3)
    contender = _claiming(_semicircle(32) if right else line, result, exact * 1.01, 0.001)
    row = compare("half-plane", False, problem, contender, vector(exact))
    found = (row.success, row.reported_failures, row.silent_failures, row.false_alarms)
    assert found == verdict
    assert row.honest_bars == 0  # it is off by more than three error bars


@pytest.mark.whole
def test_costs_of_reaching_a_gap():
    known = KNOWN["three components"]
    row = compare(known.name, False, stacked([known.make()]), FLOW, vector(known.length))
    first, second = row.gaps
    assert first.share == second.share == 1
    assert median(first.score_evals) < median(second.score_evals) < row.score_evals[0]
    assert median(row.residuals[0].calls) < median(row.residuals[1].calls)
    assert abs(row.gap[0]) < 1e-5
    assert not row.beaten
    paper = compare(known.name, False, stacked([known.make()]), SHORT_DESCENT, vector(1.0))
    assert paper.gaps[0].score_evals == (None,)
    assert math.isinf(median(paper.gaps[0].score_evals))
    assert compare(known.name, False, stacked([known.make()]), FLOW, vector(9.0)).beaten


def test_many_dimensions_are_measured_in_few():
    problem = scaling(0, 300)
    small, basis = reduced(problem)
    assert basis.shape == (300, 4)
    length = shortest(stacked([small])).length
    row = compare("300-d", False, stacked([problem]), FLOW, length, basis, stacked([small]))
    assert row.success == 1
    alone = compare("4-d", False, stacked([small]), FLOW, length)
    assert row.score_evals == alone.score_evals
    assert row.gap == pytest.approx(alone.gap, abs=1e-8)


@pytest.mark.parametrize("name", ["Gaussian, α 0.1, radius 8, angle 2", "von Mises-Fisher, ακ 2"])
def test_orders_of_convergence(name: str):
    """Two for the path, in flat space and on the sphere; four for its length, a minimum."""
    known = KNOWN[name]
    problem = known.make()
    line = chord(problem.start, problem.end, problem.manifold)
    start = BoundaryProblem(Conformal(problem.density, problem.alpha, problem.manifold), line)

    def nodes(intervals: int, n: int) -> Tensor:
        solver = PreconditionedFlow((intervals,))
        found = solve_bvp(start, solver, tol=1e-9, max_steps=200, throw=False)
        return found.path(torch.linspace(0, 1, n + 1, dtype=torch.float64))

    best = nodes(256, 16)
    path = [float((nodes(n, 16) - best).norm(dim=-1).max()) for n in (16, 32)]
    one = stacked([problem])
    length = [float(true_length(one, nodes(n, n)[:, None])) / known.length - 1 for n in (16, 32)]
    assert math.log2(path[0] / path[1]) == pytest.approx(2, abs=0.1)
    assert math.log2(length[0] / length[1]) == pytest.approx(4, abs=0.1)


def test_command_prints_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    row = compare("a plane", False, stacked([REFERENCES[0].make()]), FLOW, vector(1))
    monkeypatch.setattr(command, "references", lambda few, tell: {"rows": [asdict(row)]})
    command.main(quick=True, only=(command.Part.REFERENCES,))
    text = capsys.readouterr().out
    assert "| problem | flow (default) |" in text
    assert "| a plane | " in text
    known = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.strip()
    assert f"Measured at commit {known or 'unknown'}" in text


def test_the_published_algorithm_alone_leaves_the_other_rows():
    def rows(family: str, *solvers: str, gap: float = 1.0) -> list[dict[str, object]]:
        return [{"family": family, "solver": name, "gap": [gap]} for name in solvers]

    old = rows("f", "flow", "published", "published, rate 0.1", "energy")
    other = rows("g", "flow", "published")
    before = {"about": {"commit": "a", "torch": "2"}, "rows": [*old, *other]}
    new = rows("f", "published", "published, rate 0.05", "published, rate 0.02", gap=2.0)
    after = command._replaced(before, {"about": {"commit": "b"}, "rows": new})
    assert after["rows"] == [old[0], *new, old[3], *other]
    assert after["about"] == {"commit": "a", "torch": "2", "published": "b"}


def test_families_that_there_are_not_are_refused():
    with pytest.raises(SystemExit, match="no family 'square'; expected some of ring, 2-d, "):
        command.main(quick=True, only=(command.Part.FAMILIES,), published=True, family=("square",))


def test_the_commit_says_whether_anything_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("benchmarks.record.ROOT", tmp_path)
    assert commit() == "unknown"  # no repository

    def git(*arguments: str) -> None:
        about = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *about, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "src").mkdir()
    file = tmp_path / "src" / "a.py"
    file.write_text("1")
    git("init")
    git("add", ".")
    git("commit", "-m", "a")
    clean = commit()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    file.write_text("2")
    assert commit() == f"{clean} and uncommitted changes"
    assert commit("elsewhere") == clean


@pytest.mark.parametrize("options", [{"seeds": 0}, {"quick": True, "write": True}])
def test_bad_options(options: dict[str, Any]):
    with pytest.raises(SystemExit, match="expected at least 1|leave --quick or --write out"):
        command.main(**options)


@pytest.mark.slow
def test_quick_run_of_everything(capsys: pytest.CaptureFixture[str]):
    command.main(quick=True)
    text = capsys.readouterr().out
    for title in ("Random families", "Reference problems", "dimension"):
        assert title in text


def test_the_committed_page_shows_the_committed_figures():
    data = json.loads((RESULTS / "bench.json").read_text(encoding="utf-8"))
    assert (RESULTS / "bench.md").read_text(encoding="utf-8") == page(data)
