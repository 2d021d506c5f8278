"""Measures with networks of other people: LPIPS, ST-LPIPS, CLIP, TOPIQ, Inception.

The libraries are the user's and so are the weights: they come from torch's cache, or a folder that
is laid out like it. Nothing is ever downloaded; what is absent is `Skipped`, with how to get it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.measures.measure import Better, Images, Measure, Quantity, Strip
from diffusion_geodesics.measures.pacing import Features
from diffusion_geodesics.measures.perceptual import PerceptualDistance, PerceptualPath
from diffusion_geodesics.measures.shift_tolerant import INSTALL as ST_INSTALL
from diffusion_geodesics.measures.shift_tolerant import shift_tolerant_lpips
from diffusion_geodesics.runtime.paths import expand

CHUNK = 16


class MissingWeightsError(FileNotFoundError):
    """A library wanted to download its weights: from where, and where it looks for them."""

    def __init__(self, url: str, file: Path) -> None:
        super().__init__(f"its weights are not in {file}")
        self.url, self.file = url, file
        self.remedy = f"download {url} to {file}"

    def __reduce__(self) -> tuple[type[MissingWeightsError], tuple[str, Path]]:
        return type(self), (self.url, self.file)


@final
@dataclass(frozen=True)
class Skipped:
    """A measure that could not be made, why, and what to do to get it."""

    name: str
    reason: str
    remedy: str


@final
@dataclass(frozen=True)
class LPIPS(PerceptualDistance):
    """Learned perceptual distance; the network takes [-1, 1], which is seen to here."""

    network: Callable[[Tensor, Tensor], Tensor]

    @property
    def name(self) -> str:
        return "LPIPS (alex)"

    @torch.no_grad()
    def __call__(self, a: Images, b: Images) -> Float[Tensor, " images"]:
        parts = zip(*((2 * v.float() - 1).split(CHUNK) for v in (a, b)), strict=True)
        return torch.cat([self.network(x, y).flatten() for x, y in parts])


@final
@dataclass(frozen=True)
class Quality(Measure):
    """TOPIQ without a reference, mean over all frames; images in [0, 1], as pyiqa takes them."""

    network: Callable[[Tensor], Tensor]

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (
            Quantity(
                "TOPIQ",
                Better.HIGHER,
                "pyiqa topiq_nr, mean over frames",
                "it was trained on photographs, and knows nothing of what the frames show",
            ),
        )

    @torch.no_grad()
    def __call__(self, strip: Strip) -> Mapping[str, float]:
        found = [self.network(x.float()).flatten() for x in strip.frames.split(CHUNK)]
        return {"TOPIQ": float(torch.cat(found).mean())}


@final
@dataclass(frozen=True)
class ClipSimilarity(Measure):
    """Cosine of CLIP image embeddings to both images, weighted as the path goes from one to the
    other; and the least cosine of neighbours."""

    embed: Callable[[Tensor], Tensor]  # images in [0, 1] to embeddings (images, width)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (
            Quantity(
                "CLIP to ends",
                Better.HIGHER,
                "cosine to the first image times 1 - t, to the last times t; mean over frames",
                "it rewards blends of both",
            ),
            Quantity("CLIP step", Better.HIGHER, "least cosine of neighbouring frames"),
        )

    @torch.no_grad()
    def __call__(self, strip: Strip) -> Mapping[str, float]:
        embedded = self.embed(torch.cat([strip.ends.to(strip.frames), strip.frames]))
        unit = torch.nn.functional.normalize(embedded, dim=1)
        ends, frames = unit[:2], unit[2:]
        t = torch.linspace(0, 1, len(frames)).to(frames)
        near = (1 - t) * (frames @ ends[0]) + t * (frames @ ends[1])
        steps = (frames[1:] * frames[:-1]).sum(1)
        return {"CLIP to ends": float(near.mean()), "CLIP step": float(steps.min())}


@final
@dataclass(frozen=True)
class InceptionFeatures(Features):
    """The 2048 features of FID's Inception network (the TensorFlow port of 2015)."""

    network: Callable[[Tensor], Sequence[Tensor]]

    @property
    def name(self) -> str:
        return "Inception 2015-12-05, 2048 features"

    @torch.no_grad()
    def __call__(self, images: Images) -> Float[Tensor, "images coordinates"]:
        bytes_ = (255 * images).round().clamp(0, 255).to(torch.uint8)
        return torch.cat([self.network(x)[0] for x in bytes_.split(CHUNK)])


@contextmanager
def offline(folder: Path | None) -> Iterator[None]:
    """No library downloads anything inside; ``folder`` stands in for torch's cache."""
    import huggingface_hub.constants as hub

    def refuse(url: str, dst: str, *args: object, **options: object) -> NoReturn:
        raise MissingWeightsError(url, Path(dst))

    former = torch.hub.get_dir(), torch.hub.download_url_to_file, hub.HF_HUB_OFFLINE
    if folder is not None:
        torch.hub.set_dir(str(folder))
    torch.hub.download_url_to_file, hub.HF_HUB_OFFLINE = refuse, True  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.hub.set_dir(former[0])
        torch.hub.download_url_to_file, hub.HF_HUB_OFFLINE = former[1], former[2]


def lpips_measure() -> PerceptualPath:
    """PPL and PDV by the ``lpips`` package and AlexNet; raises where either is absent."""
    import lpips  # pyright: ignore[reportMissingImports]

    return PerceptualPath(LPIPS(lpips.LPIPS(net="alex", verbose=False).eval()))


def shift_tolerant_measure(folder: Path | None) -> PerceptualPath:
    """The same by ST-LPIPS, whose package has its weights; raises where they are absent."""
    return PerceptualPath(shift_tolerant_lpips(folder), prefix="ST-")


def topiq_measure() -> Quality:
    """TOPIQ by ``pyiqa``; raises where it or its weights are absent."""
    import pyiqa  # pyright: ignore[reportMissingImports]

    return Quality(pyiqa.create_metric("topiq_nr", device="cpu"))


def clip_measure(folder: Path | None) -> ClipSimilarity:
    """CLIP of transformers from a local folder; raises where there is none."""
    if folder is None:
        raise FileNotFoundError("no folder with a CLIP model was given")
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    network = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
    processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)

    def embed(images: Tensor) -> Tensor:
        pixels = processor(images=list(images.float()), do_rescale=False, return_tensors="pt")
        return network(pixel_values=pixels["pixel_values"]).image_embeds

    return ClipSimilarity(embed)


def inception_features() -> InceptionFeatures:
    """Features of FID by ``torch-fidelity``; raises where it or its weights are absent."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # pyright: ignore[reportMissingImports]

    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).eval()
    return InceptionFeatures(network)


@final
@dataclass(frozen=True)
class External:
    """The measures that could be made, and those that could not."""

    measures: tuple[Measure, ...] = ()  # on strips
    inception: Features | None = None  # features for FID and KID
    skipped: tuple[Skipped, ...] = ()


def _install(library: str) -> str:
    """The command that installs a library and leaves torch as it is."""
    return f"pip install {library} torch=={torch.__version__.split('+')[0]}"


def external_measures(weights: Path | None = None, clip: Path | None = None) -> External:
    """Every external measure that the user's libraries and weights allow.

    Args:
        weights: a folder laid out like torch's cache (``checkpoints/*.pth``); torch's own by
            default.
        clip: the folder of a CLIP model as transformers saves it.

    Raises:
        ValueError: a folder that is not there.
    """
    weights, clip = (None if p is None else expand(p) for p in (weights, clip))
    for folder in (weights, clip):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder} is no folder; give the folder that holds the weights")
    pyiqa = f"{_install('pyiqa')} (its licence is non-commercial), and run it once with a network"
    folder_of_clip = "name the folder of a CLIP model that transformers has saved"
    asked: list[tuple[str, Callable[[], Any], str]] = [
        ("ST-PPL, ST-PDV, end ST-LPIPS", lambda: shift_tolerant_measure(weights), ST_INSTALL),
        ("PPL, PDV, end LPIPS", lpips_measure, _install("lpips")),
        ("TOPIQ", topiq_measure, pyiqa),
        ("CLIP to ends, CLIP step", lambda: clip_measure(clip), folder_of_clip),
        ("FID, KID", inception_features, _install("torch-fidelity")),
    ]
    made: list[Any] = []
    skipped: list[Skipped] = []
    with offline(weights):
        for name, make, remedy in asked:
            try:
                made.append(make())
            except (ImportError, OSError, RuntimeError, ValueError) as error:
                line = " ".join(str(error).split())[:160] or type(error).__name__
                remedy = getattr(error, "remedy", remedy)
                skipped.append(Skipped(name, line, remedy))
    inception = next((m for m in made if isinstance(m, Features)), None)
    measures = tuple(m for m in made if isinstance(m, Measure))
    return External(measures, inception, tuple(skipped))
