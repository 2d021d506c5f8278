"""The registry of families as data."""

import pytest

from diffusion_geodesics.models import FAMILIES, ModelError, PipelineModel
from diffusion_geodesics.models.families import SDXL, ModelFamily, family_named, family_of
from diffusion_geodesics.models.loading import adapter_of


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_names_its_adapter(family: ModelFamily) -> None:
    adapter = adapter_of(family)
    assert issubclass(adapter, PipelineModel)
    assert getattr(adapter, "__final__", False)
    assert adapter.family is family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_its_pipelines_are_diffusers_own(family: ModelFamily) -> None:
    import diffusers

    for name in family.pipelines:
        pipeline = getattr(diffusers, name)
        components = {*pipeline._get_signature_keys(pipeline)[0]}
        readers = {part for r in family.readers for part in (r.tokenizer, r.encoder)}
        assert {*family.parts, *family.optional, *readers} <= components
        assert family_named(name, "it") is family


def test_unknown_pipelines_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(ModelError, match=r"it is a KolorsPipeline; expected one of Stable.*DDPM"):
        family_named("KolorsPipeline", "it")
    with pytest.raises(ModelError, match="got a int; expected one of"):
        family_of(3)
    with pytest.raises(ModelError, match="got a int; expected a StableDiffusionXLPipeline"):
        SDXL.check_complete(3)
