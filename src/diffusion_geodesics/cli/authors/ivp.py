"""The authors' initial value problem: one extrapolation.

Their program has no script and no configuration for it; the keys are the names of its arguments,
and `path0` is that of the image. Paths are relative to the working folder.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from diffusion_geodesics.cli.authors.keys import (
    AuthorsFile,
    AuthorsGroup,
    Mapped,
    Notes,
    lines,
    read_keys,
)
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings, IntegratorName
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.runtime.settings import SettingsError

PUBLISHED = InterpolationSettings.presets["published"]
VECTORS = (".npy", ".safetensors")


class OptArgs(AuthorsGroup):
    """Steps along the ray."""

    iter_num: int = Field(default=100, ge=2, le=100_000)
    start_t: float = 0.0
    end_t: float = 1.0


class OutputArgs(AuthorsGroup):
    """Sampling, and what is written."""

    cfg_sample: float = 1.0
    eta: float = 0.0
    out_dir: str | None = None
    output_interval: int = Field(default=10, ge=1)
    output_opt_points: bool | None = None
    output_separate_images: bool = True
    output_reconstruct_start: bool = True
    use_lerp_cond: bool | None = None  # said at the top
    use_neg_prompt_io: bool | None = None


class IniVelocityArgs(AuthorsGroup):
    """The velocity at the start."""

    ini_v_type: Literal["random", "given"] = "random"
    ini_v_path: str | None = None
    ini_v_index: int | None = None


class IvpFile(AuthorsFile):
    """All keys of a file."""

    path0: str | None = None
    prompt_source: str = ""
    prompt_target: str = ""
    opt_args: OptArgs = OptArgs()
    output_args: OutputArgs = OutputArgs()
    ini_velocity_args: IniVelocityArgs = IniVelocityArgs()


def read_ivp(file: Path) -> Mapped[ExtrapolationSettings]:
    """The extrapolation that a file asks for.

    Raises:
        SettingsError: a key that there is not, a value of another type or out of range, a file
            without its image, or a velocity in a file that cannot be read here.
    """
    keys = read_keys(IvpFile, file)
    try:
        settings, inputs = ExtrapolationSettings.of(**_settings(keys)), _inputs(keys)
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from None
    return Mapped(inputs, settings, lines(keys, _notes(keys)))


def _inputs(keys: IvpFile) -> dict[str, Any]:
    if keys.path0 is None:
        raise SettingsError("got no path0; name the image to start from")
    found: dict[str, Any] = {"start_image": Path(keys.path0)}
    if keys.output_args.out_dir is not None:
        found["output"] = Path(keys.output_args.out_dir)
    start = keys.ini_velocity_args
    if start.ini_v_type == "random":
        return {**found, "random": 0, "as_drawn": True}
    if start.ini_v_path is None or Path(start.ini_v_path).suffix not in VECTORS:
        raise SettingsError(
            f"ini_v_path is {start.ini_v_path}; expected one vector in a .npy or .safetensors file"
        )
    return {**found, "vector": Path(start.ini_v_path)}


def _settings(keys: IvpFile) -> dict[str, Any]:
    """What the keys amount to, by the names of settings."""
    opt, output = keys.opt_args, keys.output_args
    far = opt.end_t - opt.start_t
    if not far > 0:
        raise SettingsError(f"end_t is {opt.end_t:g}; expected more than start_t, {opt.start_t:g}")
    found: dict[str, Any] = {
        **{name: PUBLISHED[name] for name in ("steps", "refinements", "negative")},
        "level": keys.noise_level,
        "alpha": keys.alpha,
        "flat": not keys.sphere_constraint,
        "t_max": far,
        "ray_steps": opt.iter_num,
        "integrator": IntegratorName.PUBLISHED,
        "frames": max(2, opt.iter_num // output.output_interval + 1),
        "prompt": keys.prompt_source,
        "film_only": True,
        **keys.grad_args.score(keys.noise_level),
    }
    if keys.use_lerp_cond and "prompt_target" in keys.model_fields_set:
        found["end_prompt"] = keys.prompt_target
    return found


def _notes(keys: IvpFile) -> Notes:
    opt, output, start = keys.opt_args, keys.output_args, keys.ini_velocity_args
    yield from keys.grad_args.notes(keys.noise_level)
    if opt.start_t != 0 or opt.end_t != 1:
        why = "the prompt is that of the source where the ray starts and the target where it ends"
        yield "start_t", why
        yield "end_t", why
    if start.ini_v_type == "given":
        yield "ini_v_type", "the tangent part of the vector; its length is not restored"
    yield "ini_v_index", "the file holds one vector here, taken at the source's prompt"
    if keys.tv_args.tv_steps:
        why = "embeddings are not optimised along rays here"
        for key in ("tv_steps", "tv_lr", "tv_batch_size", "tv_ckpt_folder"):
            yield key, why
    if opt.iter_num % output.output_interval:
        yield "output_interval", "frames here are at equal steps of the whole ray"
    if output.cfg_sample != 1:
        yield "cfg_sample", "no guidance here in inversion and sampling (1)"
    if output.eta != 0:
        yield "eta", "sampling is deterministic here (0)"
    if not output.output_reconstruct_start:
        yield "output_reconstruct_start", "the first frame is the start as the model has it"
    if not output.output_separate_images:
        yield "output_separate_images", "frames are always written one by one as well"
    if output.output_opt_points is False:
        yield "output_opt_points", "the path is written always (path.safetensors)"
    if output.use_neg_prompt_io:
        yield "use_neg_prompt_io", "images are sampled without a negative prompt here"
    yield "test_name", "there is nothing here to keep by a name"
    yield "analysis_args", "the report shows density and norms along the ray instead"
