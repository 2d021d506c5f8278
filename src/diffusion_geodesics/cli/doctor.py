"""``geodesic doctor``: is everything here that the program needs?"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from diffusion_geodesics.runtime.paths import printable

OPTIONAL = ("accelerate", "gradio", "ray", "lpips", "torch-fidelity", "stlpips-pytorch")
FREE = 2e9  # bytes of free disk below which a folder is complained about


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, whether it is as it must be, and otherwise what to do."""

    name: str
    ok: bool
    text: str
    remedy: str = ""


Flag = Annotated[bool, Parameter(negative="")]


def doctor(*, json: Flag = False, no_run: Flag = False) -> None:
    """Print versions, devices, models found, write access and disk, and check one tiny run.

    Paste its output into a report of a defect. It exits with 1 where something is wrong.

    Parameters
    ----------
    json
        Print JSON.
    no_run
        Leave out the tiny run.
    """
    looks: list[Callable[[], Iterable[Check]]] = [_versions, _devices, _models, _places]
    if not no_run:
        looks.append(_tiny_run)
    found = [check for look in looks for check in _survived(look)]
    if json:
        print(dumps([asdict(check) for check in found], indent=2))
    else:
        _show(found)
    if not all(check.ok for check in found):
        sys.exit(1)


def _show(checks: Iterable[Check]) -> None:
    for check in checks:
        remedy = f"; {check.remedy}" if check.remedy and not check.ok else ""
        line = f"{'ok' if check.ok else 'WRONG':<6}{check.name:<22}{check.text}{remedy}"
        print(printable(line))


def _survived(look: Callable[[], Iterable[Check]]) -> list[Check]:
    """The checks of a look; its failure is one of them."""
    try:
        return list(look())
    except Exception as error:  # whatever is broken on this machine, the rest is still told
        line = " ".join(str(error).split())
        return [Check(look.__name__.strip("_"), False, f"{type(error).__name__}: {line}")]


def _versions() -> Iterable[Check]:
    from importlib.metadata import PackageNotFoundError, version

    from diffusion_geodesics.runtime.versions import PACKAGES
    from diffusion_geodesics.version import __version__

    yield Check("diffusion-geodesics", True, f"{__version__} in {Path(__file__).parents[1]}")
    new = sys.version_info >= (3, 11)
    system = f"{platform.python_version()} on {platform.platform()}"
    yield Check("python", new, system, "install Python 3.11 or newer")
    for name in (*PACKAGES, *OPTIONAL):
        try:
            yield Check(name, True, version(name))
        except PackageNotFoundError:
            optional = name in OPTIONAL
            yield Check(name, optional, "not installed" + ", optional" * optional, "install again")


def _devices() -> Iterable[Check]:
    import torch

    from diffusion_geodesics.models.devices import default_device

    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        yield Check(f"cuda:{number}", True, f"{card.name}, {card.total_memory / 1e9:.1f} GB")
    if torch.backends.mps.is_available():
        yield Check("mps", True, platform.processor() or platform.machine())
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    yield Check("cpu", True, f"{cores}, {platform.machine()}")
    yield Check("default device", True, str(default_device()))


def _models() -> Iterable[Check]:
    from diffusion_geodesics.models import local_models

    for model in local_models():
        size = f"{model.bytes / 1e6:.0f} MB" if model.bytes else "weights not downloaded"
        opened = model.family or f"no family opens a {model.pipeline}"
        yield Check("model", True, f"{model.name}: {opened}, {size} {model.revision[:12]}".rstrip())


def _places() -> Iterable[Check]:
    from huggingface_hub import constants

    here, temporary = Path.cwd(), Path(tempfile.gettempdir())
    places = {"working folder": here, "temporary folder": temporary}
    cache = Path(constants.HF_HUB_CACHE)
    if cache.is_dir():
        places["cache of the hub"] = cache
    for name, place in places.items():
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(b"geodesic")
        except OSError as error:
            yield Check(name, False, f"{place}: {error.strerror}", "choose a folder of your own")
            continue
        free = shutil.disk_usage(place).free
        text = f"{place}: writable, {free / 1e9:.1f} GB free"
        yield Check(name, free > FREE, text, "free some space")


def _tiny_run() -> Iterable[Check]:
    """Two portraits of 64x64 on the embedded model, written as every run is."""
    import diffusion_geodesics as dg
    from diffusion_geodesics.cli.demo import example_portraits

    model = dg.load_model("embedded")
    small = {"frames": 3, "size": (64, 64), "steps": 6, "max_steps": 3, "film_only": True}
    result = dg.interpolate(model, example_portraits(), path="geodesic", **small)
    with tempfile.TemporaryDirectory() as folder:
        written = dg.save(result, Path(folder) / "run")
    cost, finite = result.costs.total, bool(result.frames.isfinite().all())
    text = f"{cost.nfe} network evaluations in {cost.seconds:.1f} s on {model.device}"
    yield Check("tiny run", finite, f"{text}, {len(written.files)} files", "report this")
