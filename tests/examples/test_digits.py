"""The example with a real pretrained model, where its weights are."""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GEODESIC_DATA", ROOT.parent / "shared" / "data"))
WEIGHTS, DIGITS = DATA / "weights", DATA / "datasets" / "mnist_t10k_0-7999.npz"


def example():
    spec = importlib.util.spec_from_file_location("digits", ROOT / "examples" / "digits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="MNIST-diffusion"):
        example().main(tmp_path, tmp_path)


def test_it_is_short() -> None:
    assert len((ROOT / "examples" / "digits.py").read_text().splitlines()) < 60


@pytest.mark.slow
@pytest.mark.skipif(not DIGITS.is_file(), reason="the pretrained digits model is not here")
def test_digits() -> None:
    figures = example().main(WEIGHTS, DIGITS)
    assert 0.5 < figures["geodesic"] < 1
    assert 0.5 < figures["euclidean"] < 1
