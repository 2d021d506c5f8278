"""The DiT adapter on a tiny random pipeline, against diffusers itself."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path

import pytest
import torch
from diffusers.models.embeddings import LabelEmbedding

from diffusion_geodesics.diffusion import Condition, sample
from diffusion_geodesics.models import ModelError, load_model
from diffusion_geodesics.models.dit import DiTModel
from tests.tiny.dit import tiny_dit
from tests.tiny.parts import run


@pytest.fixture(scope="module")
def model() -> DiTModel:
    return DiTModel.from_pipeline(tiny_dit())


def noise(rows: int) -> torch.Tensor:
    return torch.randn(rows, 4, 8, 8, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("learned_variance", [True, False])
def test_sampling_from_noise_is_the_pipelines_own(learned_variance: bool) -> None:
    pipe = tiny_dit(learned_variance=learned_variance)
    theirs = run(
        pipe,
        class_labels=[1, 3],
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(5),
        num_inference_steps=5,
        output_type="pt",
    )
    model = DiTModel.from_pipeline(pipe)
    classes = Condition.stack([model.encode_prompt("goldfish"), model.encode_prompt("3")])
    ours = sample(model.denoiser(32, 32), noise(2).flatten(1), classes, steps=5, level=1.0)
    torch.testing.assert_close(model.codec(32, 32).decode(ours), theirs, rtol=0, atol=1e-5)


def test_classes_are_the_transformers_own(model: DiTModel) -> None:
    labels = [0, 4, 2, 5]  # 5 is the null class
    prompts = ["0", "hen", "White Shark", ""]
    condition = Condition.stack([model.encode_prompt(p) for p in prompts])
    ours = model.denoiser(32, 32).output(noise(4).flatten(1), 300.0, condition)
    with torch.inference_mode():
        theirs = model.pipeline.transformer(
            noise(4), timestep=torch.full((4,), 300), class_labels=torch.tensor(labels)
        ).sample
    torch.testing.assert_close(ours, theirs[:, :4].flatten(1), rtol=1e-6, atol=1e-6)
    assert (theirs[:1] - theirs[1:]).abs().amax(dim=(1, 2, 3)).min() > 1e-4


def test_a_mixture_of_classes_is_one_of_embeddings_in_every_table() -> None:
    pipe = tiny_dit()
    model = DiTModel.from_pipeline(pipe)
    line = model.encode_prompt("hen").lerp(model.encode_prompt("0"), torch.tensor([0.25, 0.6]))
    mixed = model.denoiser(32, 32).output(noise(2).flatten(1), 300.0, line)
    tables = [
        m.embedding_table for m in pipe.transformer.modules() if isinstance(m, LabelEmbedding)
    ]
    assert len(tables) == 2
    for row, t in enumerate((0.25, 0.6)):
        with torch.no_grad():
            for table in tables:
                table.weight[2] = (1 - t) * table.weight[4] + t * table.weight[0]
        alone = model.denoiser(32, 32).output(
            noise(2)[row : row + 1].flatten(1), 300.0, model.encode_prompt("2")
        )
        torch.testing.assert_close(mixed[row : row + 1], alone, rtol=1e-5, atol=1e-5)


def test_nothing_is_left_on_the_transformer_even_after_a_failure(model: DiTModel) -> None:
    def hooks() -> int:
        return sum(len(m._forward_hooks) for m in model.pipeline.transformer.modules())

    network = model.denoiser(32, 32).network
    network(noise(1).flatten(1), 10.0, model.encode_prompt("1"))
    assert hooks() == 0
    with pytest.raises(RuntimeError):
        network(noise(2).flatten(1), 10.0, Condition((torch.eye(6)[:3],)))
    assert hooks() == 0


def test_unknown_classes_are_refused_with_those_that_come_closest(model: DiTModel) -> None:
    with pytest.raises(ModelError, match="'goldfsh'; did you mean goldfish"):
        model.encode_prompt("goldfsh")
    with pytest.raises(ModelError, match="did you mean .*shark"):
        model.encode_prompt("shark")
    with pytest.raises(ModelError, match="classes 0 to 4"):
        model.encode_prompt("5")
    with pytest.raises(ModelError, match="see pipeline.labels"):
        model.encode_prompt("???")


def test_a_saved_pipeline_loads_with_its_names(tmp_path: Path) -> None:
    tiny_dit(named=False).save_pretrained(tmp_path / "nameless")
    nameless = load_model(tmp_path / "nameless", device="cpu")
    assert torch.equal(nameless.encode_prompt("4").parts[0], torch.eye(6)[4:5])
    with pytest.raises(ModelError, match="without names of classes"):
        nameless.encode_prompt("hen")
    tiny_dit().save_pretrained(tmp_path / "named")
    named = load_model(tmp_path / "named", device="cpu")
    assert torch.equal(named.encode_prompt("hen").parts[0], torch.eye(6)[4:5])
    assert (named.native_size, named.size_multiple) == (32, 8)


def test_only_square_images_are_taken(model: DiTModel) -> None:
    with pytest.raises(ValueError, match="square images only"):
        model.denoiser(32, 40)
    denoiser = model.denoiser(40, 40)
    x = torch.zeros(1, 4 * 10 * 10)
    assert denoiser.output(x, 10.0, model.encode_prompt("")).shape == x.shape
