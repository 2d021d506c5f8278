"""Pretrained models: `load_model` finds one and gives a `DiffusionModel`.

Names are imported when they are used, so that listing families and local models imports no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
