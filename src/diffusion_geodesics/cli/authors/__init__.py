"""Configuration files of the paper's authors, read as settings of this program.

`bvp` reads those of their `test_bvp.py` (interpolation), `ivp` those of their initial value problem
(extrapolation); `keys` has what both share. Written from a description of the keys.

References: Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, and
the configuration files published with it.
"""
