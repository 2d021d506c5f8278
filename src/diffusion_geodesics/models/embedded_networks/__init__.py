"""The networks of the embedded model in plain torch, so that the default model opens at once.

diffusers takes about five seconds of processor time to import. The U-Net and the autoencoder here
are those two of its classes that the embedded model uses, with the same parameters and the same
arithmetic. The tests compare them with diffusers' to the bit.
"""

from diffusion_geodesics.models.embedded_networks.autoencoder import Autoencoder
from diffusion_geodesics.models.embedded_networks.unet import UNet

__all__ = ["Autoencoder", "UNet"]
