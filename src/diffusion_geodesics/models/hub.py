"""Fetching a model from the Hugging Face hub, and why it could not be had."""

import socket
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import family_named
from diffusion_geodesics.models.folders import pipeline_class_name, variant_among
from diffusion_geodesics.models.opening import one_line
from diffusion_geodesics.models.quiet import quiet


def fetch(name: str, revision: str | None, local_files_only: bool) -> Path:
    """A hub model's folder in the local cache; only what its pipeline needs is downloaded.

    `ModelError` if it cannot be had, or no family takes its pipeline. ``local_files_only`` keeps it
    from the network.
    """
    from huggingface_hub import hf_hub_download

    local = local_files_only or not _hub_answers()
    place: dict[str, Any] = {"revision": revision, "local_files_only": local}
    try:
        index = hf_hub_download(name, "model_index.json", **place)
        family_named(pipeline_class_name(Path(index).parent, name), name)
        with quiet("diffusers", "transformers"):
            from diffusers.pipelines.pipeline_utils import DiffusionPipeline

            folder = DiffusionPipeline.download(
                name,
                use_safetensors=True,
                safety_checker=None,
                variant=None if local else _variant(name, revision),
                **place,
            )
    except ModelError:
        raise
    except Exception as error:  # the hub client raises a dozen unrelated classes
        raise ModelError(_reason(name, revision, local_files_only, error)) from error
    return Path(folder)


def _variant(name: str, revision: str | None) -> str | None:
    """The variant of a component of a hub model that has no other weights."""
    from huggingface_hub import HfApi

    parts: dict[str, list[str]] = defaultdict(list)
    for file in map(PurePosixPath, HfApi().list_repo_files(name, revision=revision)):
        if len(file.parts) == 2:
            parts[file.parts[0]].append(file.name)
    variants = [variant_among(names) for names in parts.values()]
    return next((variant for variant in variants if variant is not None), None)


def _hub_answers() -> bool:
    """Whether a connection can be made: the client itself takes a minute to give up."""
    from huggingface_hub import constants

    if getproxies():
        return True  # only the client knows how to get through
    host = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((host.hostname or "", host.port or 443), timeout=5.0):
            return True
    except OSError:
        return False


def _reason(name: str, revision: str | None, local_files_only: bool, error: Exception) -> str:
    """One line on why a model could not be had from the hub."""
    from huggingface_hub import errors

    at = f"{name} at revision {revision}" if revision else name
    if isinstance(error, errors.GatedRepoError):
        return f"{name} is gated: accept its licence on the hub, then log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name} has no revision {revision!r} on the hub; check its name"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no model {name!r} on the hub, or it is private; check the spelling or log in"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{at} has no model_index.json: it is not a diffusers pipeline; choose one that is"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        if local_files_only:
            return f"{at} is not in the local cache; allow the network once, or give a folder"
        return (
            f"cannot reach the hub for {at}, and it is not in the local cache; connect to the "
            "network, give the folder of a saved pipeline, or use the model 'embedded'"
        )
    return f"cannot fetch {at} from the hub ({one_line(error)}); try again later"
