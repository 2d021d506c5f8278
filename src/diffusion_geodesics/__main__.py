"""``python -m diffusion_geodesics`` is the command ``geodesic``."""

from diffusion_geodesics.cli import main

if __name__ == "__main__":
    main()
