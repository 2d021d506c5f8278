"""The authors' files of `test_bvp.py --c`: one interpolation.

Paths are relative to the working folder, as for their program.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from diffusion_geodesics.cli.authors.keys import (
    RATE,
    AuthorsFile,
    AuthorsGroup,
    Mapped,
    Notes,
    lines,
    read_keys,
)
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.settings import Blend, Spacing
from diffusion_geodesics.runtime.settings import SettingsError


class BisectArgs(AuthorsGroup):
    """Control points."""

    max_strength: int = Field(default=4, ge=1, le=8)
    bisect_interval: int = Field(default=100, ge=1)
    random_end: bool = False
    only_new_points: bool = False


class OptArgs(AuthorsGroup):
    """Gradient steps."""

    lr: float = Field(default=0.1, gt=0)
    iter_num: int = Field(default=400, ge=1)
    lr_scheduler: Literal["constant", "linear", "cosine", "polynomial"] = "linear"
    lr_divide: bool = True


class OutputArgs(AuthorsGroup):
    """Sampling, and what is written."""

    cfg_sample: float = 1.0
    eta: float = 0.0
    out_dir: str | None = None
    output_image_num: int = Field(default=17, ge=2)
    output_psample: bool = False
    output_start_images: bool = True
    output_opt_points: bool = True
    output_reconstruct_end: bool = True
    output_separate_images: bool = True
    use_neg_prompt: bool = False
    use_neg_prompt_io: bool | None = None  # a later name of the same
    out_interval: int = -1


class BvpFile(AuthorsFile):
    """All keys of a file."""

    pathA: str | None = None  # noqa: N815
    pathB: str | None = None  # noqa: N815
    promptA: str = ""  # noqa: N815
    promptB: str = ""  # noqa: N815
    spline_type: Literal["spherical_cubic", "spherical", "cubic"] = "spherical_cubic"
    grad_analysis_out: bool | None = None
    bisect_args: BisectArgs = BisectArgs()
    opt_args: OptArgs = OptArgs()
    output_args: OutputArgs = OutputArgs()


def read_bvp(file: Path) -> Mapped[InterpolationSettings]:
    """The interpolation that a file asks for.

    Raises:
        SettingsError: a key that there is not, a value of another type or out of range, or a file
            without its two images.
    """
    keys = read_keys(BvpFile, file)
    if keys.pathA is None or keys.pathB is None:
        raise SettingsError(f"{file}: got no {'pathA' if keys.pathA is None else 'pathB'}; name it")
    inputs: dict[str, Any] = {"images": (Path(keys.pathA), Path(keys.pathB))}
    if keys.output_args.out_dir is not None:
        inputs["output"] = Path(keys.output_args.out_dir)
    try:
        settings = InterpolationSettings.preset("published", **_settings(keys))
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from None
    return Mapped(inputs, settings, lines(keys, _notes(keys)))


def _settings(keys: BvpFile) -> dict[str, Any]:
    """What the keys amount to, by the names of settings."""
    output, text = keys.output_args, keys.tv_args
    found: dict[str, Any] = {
        "level": keys.noise_level,
        "alpha": keys.alpha,
        "flat": not keys.sphere_constraint,
        "frames": output.output_image_num,
        "spacing": Spacing.PERCEPTUAL if output.output_psample else Spacing.PARAMETER,
        "film_only": not output.output_start_images,
        "keep_pixels": not output.output_reconstruct_end,
        "bisections": keys.bisect_args.max_strength,
        "bisection_steps": keys.bisect_args.bisect_interval,
        "learning_rate": keys.opt_args.lr,
        **keys.grad_args.score(keys.noise_level),
    }
    prompts = (keys.promptA, keys.promptB)
    if not keys.use_lerp_cond:
        prompts = (" ".join(prompts),)
    if any(prompts):
        found["prompt"] = prompts
    if text.tv_steps:
        found["invert_text"] = text.tv_steps
        if text.tv_ckpt_folder is not None:
            found["cache"] = Path(text.tv_ckpt_folder)
        if not keys.use_lerp_cond:
            found["blend"] = Blend.MEAN
    return found


def _notes(keys: BvpFile) -> Notes:
    yield from keys.grad_args.notes(keys.noise_level)
    yield from _solver_notes(keys)
    yield from _text_notes(keys)
    yield from _output_notes(keys.output_args)
    if keys.sphere_constraint:
        yield "sphere_constraint", "norms go from one end's to the other's; theirs become the mean"
        if keys.spline_type != "spherical_cubic":
            yield "spline_type", "slerp, with the acceleration of a natural cubic (spherical_cubic)"
    elif keys.spline_type != "cubic":
        yield "spline_type", "segments are straight here without sphere_constraint"
    yield "test_name", "embeddings are kept by what they depend on, not by a name"
    for key in ("grad_analysis_out", "analysis_args"):
        yield key, "the report shows how the solver went instead"


def _solver_notes(keys: BvpFile) -> Notes:
    points, steps = keys.bisect_args, keys.opt_args
    every = points.max_strength * points.bisect_interval
    if steps.iter_num != every:
        yield "iter_num", f"{every} steps here, max_strength · bisect_interval; the rate ends at 0"
    if steps.lr_scheduler != "linear":
        yield "lr_scheduler", "the rate falls linearly here"
    if not steps.lr_divide:
        yield "lr_divide", "the rate is divided by the number of control points here"
    if points.random_end:
        yield "random_end", "control points are not perturbed here"
    if points.only_new_points:
        yield "only_new_points", "all control points are moved here"


def _text_notes(keys: BvpFile) -> Notes:
    text = keys.tv_args
    if not text.tv_steps:
        return
    if text.tv_lr != RATE:
        yield "tv_lr", f"embeddings are optimised at a rate of {RATE:g} here"
    yield "tv_batch_size", "one time step and one noise for each image and step here"
    yield "tv_ckpt_folder", ".pt files of theirs that are in it are not read"
    if not keys.use_lerp_cond:
        yield "use_lerp_cond", "an embedding for each image and their mean, not one for both"


def _output_notes(output: OutputArgs) -> Notes:
    if output.cfg_sample != 1:
        yield "cfg_sample", "no guidance here in inversion and sampling, so that ends are exact (1)"
    if output.eta != 0:
        yield "eta", "sampling is deterministic here (0)"
    if output.output_psample:
        yield "output_psample", "equal steps of the denoised latents here, not of LPIPS"
    if not output.output_opt_points:
        yield "output_opt_points", "the path is written always (path.safetensors)"
    if not output.output_separate_images:
        yield "output_separate_images", "frames are always written one by one as well"
    for key in ("use_neg_prompt", "use_neg_prompt_io"):
        if getattr(output, key):
            yield key, "images are sampled without a negative prompt here"
    if output.out_interval > 0:
        yield "out_interval", "only the last path is decoded here"
