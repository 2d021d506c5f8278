"""What every test shares: types checked at run time, a device, a precision, a seeded generator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test but a `network` one may leave the machine

import jaxtyping
from jaxtyping import install_import_hook

import tests.typechecker  # noqa: F401  (the hook below names it)

# Before the first import of the package: every annotated function then checks shapes and types.
install_import_hook(["diffusion_geodesics"], "tests.typechecker.typechecker")

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="device of the tensors: cpu, cuda, mps")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # one of several pytest-xdist workers: share the cores
        torch.set_num_threads(1)
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device named by `--device`."""
    return torch.device(str(request.config.getoption("--device")))


@pytest.fixture(scope="session")
def dtype(device: torch.device) -> torch.dtype:
    """Double precision wherever the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of pictures, clips and networks that are not in the repository; tests that ask for
    it are skipped where there is none."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DIFFUSION_GEODESICS_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder}")
    return folder


@pytest.fixture
def unchecked_types() -> Iterator[None]:
    """The package as users have it, without the check of types at run time: for wrong types."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def generator(device: torch.device) -> torch.Generator:
    """A generator with the same seed in every test."""
    return torch.Generator(device).manual_seed(0)
