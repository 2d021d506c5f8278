"""Where networks run."""

import torch

from diffusion_geodesics.models.errors import ModelError


def default_device() -> torch.device:
    """cuda where there is one, else mps, else cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def usable_device(device: str | torch.device) -> torch.device:
    """A device on which a number can be stored and read back; `ModelError` for any other,
    ``"meta"`` included, whose tensors have no values."""
    try:
        wanted = torch.device(device)
        torch.ones(1, device=wanted).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ModelError(
            f"got device {str(device)!r}, which cannot be used here; choose cpu, cuda or mps "
            "among those that this machine has, or leave it out"
        ) from error
    return wanted
