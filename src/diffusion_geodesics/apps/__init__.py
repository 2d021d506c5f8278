"""What people do with geodesics: plain functions over models, solvers and reports."""

from diffusion_geodesics.apps.events import Event
from diffusion_geodesics.apps.interpolate import interpolate
from diffusion_geodesics.apps.interpolation import Interpolation
from diffusion_geodesics.apps.settings import Estimate, Family, Pace, Settings

__all__ = ["Estimate", "Event", "Family", "Interpolation", "Pace", "Settings", "interpolate"]
