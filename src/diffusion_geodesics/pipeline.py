"""The interpolation as a `diffusers` pipeline, for programs that are written in that style.

>>> pipe = StableDiffusionPipeline.from_pretrained(...)
>>> morph = GeodesicInterpolationPipeline.from_pipe(pipe)
>>> frames = morph([photo_a, photo_b], prompt="a cat").frames
"""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Tensor

from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import from_pipeline
from diffusion_geodesics.runtime.run import Event

__all__ = ["GeodesicInterpolationOutput", "GeodesicInterpolationPipeline"]

OnStepEnd = Callable[[DiffusionPipeline, int, int, dict[str, Any]], dict[str, Any] | None]
"""What `callback_on_step_end` is: called with the pipeline, the number of the step over the whole
run, the step within its stage, and a dictionary with `stage`, `done`, `of` and `detail`."""


@dataclass
class GeodesicInterpolationOutput(BaseOutput):
    """What the pipeline returns.

    - `frames`: the film, both ends included: a list of Pillow images, an array (frames, height,
      width, 3) or a tensor (frames, 3, height, width), by `output_type`. Empty if interrupted.
    - `interpolation`: the whole result, with path, density, lengths and cost, which
      `diffusion_geodesics.save` writes; none if interrupted.
    """

    frames: Any
    interpolation: InterpolationResult | None


class _InterruptedError(Exception):
    """The callback has set the pipeline's `_interrupt`."""


class GeodesicInterpolationPipeline(DiffusionPipeline):
    """Morphs one image into another along a probability density geodesic.

    It shares the networks of a pipeline of any supported family (see the table of models), with
    everything that was loaded into or set on them: LoRAs, offloading, precision, scheduler.

    - `pipeline`: the pipeline whose components are used; it stays as it is.
    """

    def __init__(self, pipeline: DiffusionPipeline) -> None:
        super().__init__()
        from_pipeline(pipeline)  # complains about a pipeline that cannot be used
        self._source = pipeline
        self._interrupt = False
        self.model_cpu_offload_seq = pipeline.model_cpu_offload_seq
        self._optional_components = pipeline._optional_components
        self._exclude_from_cpu_offload = pipeline._exclude_from_cpu_offload
        self.register_modules(**pipeline.components)

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **kwargs: Any) -> GeodesicInterpolationPipeline:
        """The morphing pipeline of a loaded pipeline. Nothing is copied or cast.

        `kwargs` replace single components, such as `scheduler`. Raises `ModelError` for a
        pipeline of a family that is not supported.
        """
        source = pipeline._source if isinstance(pipeline, cls) else pipeline
        found = cls(source)
        unknown = set(kwargs) - set(found.components)
        if unknown:
            raise ValueError(
                f"got {', '.join(sorted(unknown))}, which {type(source).__name__} does not have; "
                f"its components are {', '.join(sorted(found.components))}"
            )
        for name, component in kwargs.items():
            found.register_modules(**{name: component})
        return found

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> GeodesicInterpolationPipeline:
        """The morphing pipeline of a saved one: a folder or a hub id, as for any pipeline.

        Weights are read from safetensors only.
        """
        kwargs.setdefault("use_safetensors", True)
        return cls(DiffusionPipeline.from_pretrained(pretrained_model_name_or_path, **kwargs))

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:  # type: ignore[override]
        """Save the pipeline that this one was made of, with the components of now."""
        self._current().save_pretrained(save_directory, **kwargs)

    def _get_signature_keys(self, obj: Any) -> tuple[list[str], list[str]]:  # type: ignore[override]
        # diffusers asks the constructor for the names of components; ours come from the pipeline
        return self._source._get_signature_keys(self._source)

    def _current(self) -> DiffusionPipeline:
        """The source pipeline with the components of now."""
        source = copy.copy(self._source)
        for name, component in self.components.items():
            source.register_modules(**{name: component})
        return source

    @property
    def interrupt(self) -> bool:
        """Whether a callback has asked to stop, by setting `_interrupt`."""
        return self._interrupt

    def __call__(
        self,
        images: Sequence[ImageSource],
        prompt: str | Sequence[str] | None = None,
        negative_prompt: str | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        noise_level: float | None = None,
        metric_strength: float | None = None,
        guidance_scale: float | None = None,
        height: int | None = None,
        width: int | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: OnStepEnd | None = None,
        **settings: Any,
    ) -> GeodesicInterpolationOutput | tuple[Any, InterpolationResult | None]:
        """Morph images into one another. What is not given is as in `InterpolationSettings`.

        - `images`: at least two Pillow images, paths, arrays (height, width, 3) of bytes or of
          numbers in [0, 1], or tensors (3, height, width) with values in [0, 1].
        - `prompt`: what all images show, or one text for each.
        - `negative_prompt`, `num_frames`, `num_inference_steps`, `guidance_scale`: as everywhere.
        - `noise_level`: in (0, 1], how far the images are inverted.
        - `metric_strength`: alpha times dimension; 0 is the path that nothing bends.
        - `height`, `width`: of the frames; the model's own size by default.
        - `generator`: seeds the directions of further starts; all else is deterministic.
        - `output_type`: `"pil"`, `"np"` or `"pt"`.
        - `return_dict`: false for a plain tuple.
        - `callback_on_step_end(pipeline, step, timestep, info)`: called after every step of every
          stage; set `pipeline._interrupt = True` in it to stop.
        - `settings`: any other setting by its name, such as `loop=True` or `allow_atypical=True`.

        Returns a `GeodesicInterpolationOutput`. Raises `ValueError` for a choice out of its
        range. Cost: as `diffusion_geodesics.interpolate`.
        """
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f"output_type is {output_type!r}; expected 'pil', 'np' or 'pt'")
        if (height is None) != (width is None):
            raise ValueError("got one of height and width; give both, or neither")
        seed = None if generator is None else generator.initial_seed() % 2**31
        named = {
            "prompt": prompt if prompt is None or isinstance(prompt, str) else tuple(prompt),
            "negative": negative_prompt,
            "frames": num_frames,
            "steps": num_inference_steps,
            "level": noise_level,
            "strength": metric_strength,
            "guidance": guidance_scale,
            "size": None if height is None or width is None else (height, width),
            "seed": seed,
        }
        given = {name: value for name, value in named.items() if value is not None}
        chosen = InterpolationSettings.of(**given, **settings)
        self._interrupt = False
        try:
            with closing(_Follower(self, callback_on_step_end)) as follow:
                model = from_pipeline(self._current())
                done = interpolate(model, images, chosen, observer=follow)
        except _InterruptedError:
            frames, done = [], None
        else:
            frames = _frames(done.frames, output_type)
        finally:
            self.maybe_free_model_hooks()
        return GeodesicInterpolationOutput(frames, done) if return_dict else (frames, done)


def _frames(frames: Tensor, output_type: str) -> Any:
    if output_type == "pt":
        return frames
    array = VaeImageProcessor.pt_to_numpy(frames)
    return array if output_type == "np" else VaeImageProcessor.numpy_to_pil(array)


class _Follower:
    """Shows events on the pipeline's progress bar and passes them to its callback."""

    def __init__(self, pipe: GeodesicInterpolationPipeline, callback: OnStepEnd | None) -> None:
        self._pipe, self._callback = pipe, callback
        self._bar: Any = None
        self._stage, self._step = "", 0

    def __call__(self, event: Event) -> None:
        if event.stage != self._stage:
            self.close()
            self._stage = event.stage
            self._bar = self._pipe.progress_bar(total=event.total or 0)  # type: ignore[call-arg]
            self._bar.set_description(event.stage)
        self._bar.total = event.total or None
        self._bar.n = event.done
        self._bar.refresh()
        if not event.done:
            return
        self._step += 1
        if self._callback is not None:
            info = {"done": event.done, "of": event.total, "detail": event.detail}
            self._callback(self._pipe, self._step - 1, event.done, {"stage": event.stage} | info)
        if self._pipe.interrupt:
            raise _InterruptedError

    def close(self) -> None:
        """Take the progress bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
