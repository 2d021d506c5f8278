"""The command ``geodesic``: parse, call, show. One file a command."""

from diffusion_geodesics.cli.main import main

__all__ = ["main"]
