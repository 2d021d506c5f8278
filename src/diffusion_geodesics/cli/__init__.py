"""The command ``geodesic``: parse, call, show. One file a command."""

from diffusion_geodesics.cli.failures import stop

try:
    from diffusion_geodesics.cli.main import main
except KeyboardInterrupt:  # before there is a command that could say so
    stop()

__all__ = ["main"]
