"""Results of pairs on disk: exact, and only for what they were made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.comparison.kept_pairs import KeptPairs
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.rendered import eight_bits
from diffusion_geodesics.comparison.result import Outcome, PairResult
from diffusion_geodesics.images import save_png
from diffusion_geodesics.runtime.keyed_cache import DamagedEntryError
from tests.comparison.scenes import fade
from tests.gaussian_model import picture

A, B = picture(1), picture(2)
PAIR = Pair("p", A, B, "a", None)
RESULT = PairResult(
    "p",
    torch.stack([A, B]),
    {
        "slerp": Outcome(eight_bits(fade(A, B, 4)), {"ghosting": 0.1 + 0.2, "length": 5e9}, "so"),
        "broken": Outcome(torch.zeros(4, 3, 16, 16), {}, "failed", failed=True),
    },
)


class Work:
    """Counts how often a result is computed."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> PairResult:
        self.times += 1
        return RESULT


def test_a_result_is_computed_once_and_found_exactly(tmp_path: Path) -> None:
    work = Work()
    KeptPairs(tmp_path / "new", ("settings", 1)).get(PAIR, work)
    found = KeptPairs(tmp_path / "new", ("settings", 1)).get(PAIR, work)
    assert work.times == 1
    assert found.name == "p"
    assert_close(found.ends, RESULT.ends)
    assert list(found.outcomes) == ["slerp", "broken"]
    for name, outcome in RESULT.outcomes.items():
        again = found.outcomes[name]
        assert dict(again.scores) == dict(outcome.scores)
        assert (again.note, again.failed) == (outcome.note, outcome.failed)
        assert_close(again.frames, outcome.frames)


def test_other_runs_pairs_prompts_and_images_are_computed_anew(tmp_path: Path) -> None:
    work, made = Work(), ("settings", 1)
    save_png(tmp_path / "a.png", A)
    cases = (
        (made, PAIR),
        (("settings", 2), PAIR),
        (made, replace(PAIR, name="q")),
        (made, replace(PAIR, prompt_b="b")),
        (made, replace(PAIR, b=A)),
        (made, replace(PAIR, a=tmp_path / "a.png")),
    )
    for count, (with_, pair) in enumerate(cases, start=1):
        for _ in range(2):
            KeptPairs(tmp_path / "kept", with_).get(pair, work)
        assert work.times == count


def test_images_in_files_are_known_by_their_content(tmp_path: Path) -> None:
    file, work, kept = tmp_path / "a.png", Work(), KeptPairs(tmp_path / "kept", ())
    save_png(file, A)
    kept.get(replace(PAIR, a=file), work)
    kept.get(replace(PAIR, a=str(file)), work)
    assert work.times == 1
    save_png(file, B)
    kept.get(replace(PAIR, a=file), work)
    assert work.times == 2


def test_a_damaged_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    kept = KeptPairs(tmp_path, ())
    kept.get(PAIR, Work())
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(b"damaged")
    with pytest.raises(DamagedEntryError, match="is damaged .* delete it to have it computed"):
        kept.get(PAIR, Work())


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    work = Work()
    for _ in range(2):
        KeptPairs(None, ("x",)).get(PAIR, work)
    assert work.times == 2
    assert list(tmp_path.iterdir()) == []
