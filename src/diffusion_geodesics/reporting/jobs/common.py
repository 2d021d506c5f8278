"""What the reports of several jobs have in common."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.latents.playback import PlaybackSettings
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.reporting.blocks import Fact, VideoClip
from diffusion_geodesics.reporting.films import film_format
from diffusion_geodesics.reporting.pixels import WHITE, Colour, with_alpha
from diffusion_geodesics.reporting.playback import Lanczos, LanczosToHeight, Order, Playback
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import JobSettings
from diffusion_geodesics.runtime.settings_file import settings_toml
from diffusion_geodesics.runtime.versions import versions

INPUTS = "inputs"  # folder for images that came from no file


@runtime_checkable
class JobResult(Protocol):
    """What the results of jobs with a model have in common."""

    @property
    def settings(self) -> JobSettings: ...
    @property
    def model(self) -> ModelInfo: ...
    @property
    def costs(self) -> CostBreakdown: ...
    @property
    def warnings(self) -> tuple[Diagnostic, ...]: ...


def record(job: str, result: JobResult, values: Mapping[str, object]) -> dict[str, object]:
    """What every result.json holds, with the values of the job."""
    return {
        "job": job,
        **values,
        "cost": result.costs.as_dict(),
        "settings": result.settings.as_nested(),
        "model": result.model.as_dict(),
        "warnings": [warning.as_dict() for warning in result.warnings],
    }


def job_report(
    job: str,
    result: JobResult,
    values: Mapping[str, object],
    header: Mapping[str, object],
    *,
    without: Collection[str] = (),
    **parts: Any,
) -> Report:
    """The report of a job, from what is its own.

    ``values`` go into result.json, ``header`` into settings.toml, where the groups ``without`` are
    left out; ``parts`` are further arguments of the `Report`.
    """
    folder = expand(result.model.id)
    place = str(folder.resolve()) if folder.is_dir() else result.model.id
    model = {"model": place, "device": result.model.device, "dtype": result.model.dtype}
    own = {
        "warnings": [str(warning) for warning in result.warnings],
        "settings": settings_toml(job, result.settings, {**header, "model": model}, without),
        "cost": result.costs,
        "versions": versions(),
    }
    content = {**record(job, result, values), "versions": versions()}
    return Report(result=content, **{**own, **parts})


def model_fact(model: ModelInfo) -> Fact:
    """The model as a card."""
    about = f"weights {model.hash[:12]}, on {model.device}"
    return Fact("Model", model.id, "; ".join(filter(None, (about, model.caveat))))


def cost_fact(costs: CostBreakdown) -> Fact:
    """The cost as a card."""
    total = costs.total
    return Fact("Cost", f"{total.nfe:,} NFE", f"{total.batches} batches, {total.seconds:.1f} s")


def values_of(thing: object, names: str) -> dict[str, object]:
    """Some attributes of a result under their own names."""
    return {name: getattr(thing, name) for name in names.split()}


def framed(pictures: Pictures) -> list[dict[str, str]]:
    """Where each image came from, and how it was framed, for result.json."""
    both = zip(pictures.names, pictures.notes, strict=True)
    return [{"source": source, "framing": note} for source, note in both]


def sources(pictures: Pictures, background: Colour = WHITE) -> tuple[list[str], dict[str, Tensor]]:
    """Where the images are for a run that repeats this one, and the folder of those that came from
    no file, to be written."""
    files = [expand(name) for name in pictures.names]
    if all(file.is_file() for file in files):
        return [str(file.resolve()) for file in files], {}
    images = clamped(pictures.images)
    if pictures.alpha is not None:
        images = with_alpha(images, clamped(pictures.alpha), background)
    return [f"{INPUTS}/{i:03d}.png" for i in range(len(images))], {INPUTS: images}


def clamped(images: Tensor) -> Tensor:
    """Images on the CPU with values in [0, 1]."""
    return images.detach().float().cpu().clamp(0, 1)


def film_clip(
    frames: Tensor,
    settings: PlaybackSettings,
    order: Order,
    rests: Sequence[int] | None = None,
    background: Colour = WHITE,
) -> VideoClip:
    """A film as the settings want it played and written."""
    upscale = LanczosToHeight() if settings.upscale is None else Lanczos(settings.upscale)
    playback = Playback(settings.fps, settings.hold, order, upscale, background)
    formats = tuple(film_format(kind.value) for kind in settings.format)
    return VideoClip(clamped(frames), "morph", formats, playback, rests, alt="the film")
