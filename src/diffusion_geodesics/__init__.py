"""Probability density geodesics in the latent space of diffusion models.

>>> import diffusion_geodesics as dg
>>> solution = dg.geodesic(dg.Gaussian([0.0, 0.0], 1.0), [1.5, 0.0], [0.0, 1.5])
>>> solution.result, float(solution.length)

>>> morph = dg.interpolate(dg.load_model("embedded"), ["a.png", "b.png"])
>>> dg.save(morph, "out")

Names are imported when they are first used, so that importing the package costs nothing. Solvers,
metrics, manifolds, paths, integrators, stops, directions and likelihoods have namespaces of their
own: ``dg.solvers``, ``dg.metrics`` and so on.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025,
    arXiv 2504.06675.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
