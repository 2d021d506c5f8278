from . import (
    densities as densities,
)
from . import (
    directions as directions,
)
from . import (
    integrators as integrators,
)
from . import (
    likelihood as likelihood,
)
from . import (
    manifolds as manifolds,
)
from . import (
    metrics as metrics,
)
from . import (
    models as models,
)
from . import (
    paths as paths,
)
from . import (
    solvers as solvers,
)
from . import (
    stops as stops,
)
from .bvp import Result as Result
from .bvp import Solution as Solution
from .bvp import solve_bvp as solve_bvp
from .comparison.compare import compare as compare
from .comparison.evaluate import evaluate as evaluate
from .density import Density as Density
from .density import Gaussian as Gaussian
from .density import GaussianMixture as GaussianMixture
from .density import Score as Score
from .distances import distance as distance
from .distances import distance_matrix as distance_matrix
from .distances import frechet_mean as frechet_mean
from .expmap import exp as exp
from .expmap import log as log
from .extrapolation.extrapolate import extrapolate as extrapolate
from .geodesics import geodesic as geodesic
from .image_sets.densities import image_densities as image_densities
from .image_sets.distances import image_distances as image_distances
from .interpolation.estimate import estimate as estimate
from .interpolation.interpolate import interpolate as interpolate
from .interpolation.settings import InterpolationSettings as InterpolationSettings
from .ivp import Ray as Ray
from .ivp import solve_ivp as solve_ivp
from .models import from_denoiser as from_denoiser
from .models import from_pipeline as from_pipeline
from .models import from_score as from_score
from .models import load_model as load_model
from .reporting.save import save as save
from .version import __version__ as __version__
from .video.analyze import analyze as analyze
