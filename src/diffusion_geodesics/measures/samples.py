r"""Distances of two samples of features: Fréchet, kernel, and what a classifier can tell.

**Fréchet distance** of the Gaussians fitted to both (FID, with Inception features):

.. math:: |\mu_a - \mu_b|^2 + \mathrm{tr}\bigl(C_a + C_b - 2 (C_a C_b)^{1/2}\bigr).

**KID**: the unbiased squared MMD with the kernel :math:`(x \cdot y / d + 1)^3`. **C2ST**: the
accuracy of a logistic regression that tells the two apart on examples it was not fitted to; ½ is
"cannot tell".

References:
    Heusel et al., arXiv 1706.08500 (FID). Bińkowski et al., arXiv 1801.01401 (KID). Lopez-Paz and
    Oquab, arXiv 1610.06545 (C2ST).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import expit

Sample = Float[np.ndarray, "items coordinates"]
Other = Float[np.ndarray, "others other_coordinates"]


def frechet(a: Sample, b: Other) -> float:
    r"""Fréchet distance of two samples of at least two items each.

    With covariances :math:`A^{\mathsf T} A` and :math:`B^{\mathsf T} B` of the centred samples
    :math:`\mathrm{tr}(C_a C_b)^{1/2}` is the sum of the singular values of
    :math:`A B^{\mathsf T}`, which has a side an item, however many coordinates there are.

    Biased for few items: it is large for two samples of the same distribution. Compare only
    samples of equal size.
    """
    _check(a, b, 2)
    roots = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b)]
    cross = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    gap = np.square(a.mean(0) - b.mean(0)).sum()
    return float(gap + sum(np.square(r).sum() for r in roots) - 2 * cross)


def kernel_distance(a: Sample, b: Other) -> float:
    """Unbiased squared MMD with the cubic kernel (KID, one block); may be negative."""
    _check(a, b, 2)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        n, gram = len(x), kernel(x, x)
        return float((gram.sum() - np.trace(gram)) / (n * (n - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def two_sample_accuracy(
    a: Sample,
    b: Other,
    groups_a: Int[np.ndarray, " items"],
    groups_b: Int[np.ndarray, " others"],
    *,
    folds: int = 5,
    components: int = 32,
    ridge: float = 1.0,
    seed: int = 0,
) -> float:
    """Cross-fitted accuracy of telling ``a`` from ``b``, balanced over the two.

    Args:
        groups_a, groups_b: the pair that each item comes from; a pair is never in both the
            fitting and the testing part, so that nothing can be remembered.
        folds: parts that pairs are dealt into.
        components: principal components, of the fitting part, that the regression sees.

    Raises:
        ValueError: fewer than two pairs.
    """
    _check(a, b, 1)
    names = np.unique(np.concatenate([groups_a, groups_b]))
    if len(names) < 2:
        raise ValueError(f"got {len(names)} pair; telling two samples apart needs at least 2")
    folds = min(folds, len(names))
    dealt = np.random.default_rng(seed).permutation(len(names)) % folds
    fold_of = dict(zip(names.tolist(), dealt.tolist(), strict=True))
    x = np.concatenate([a, b]).astype(np.float64)
    y = np.concatenate([np.ones(len(a)), np.zeros(len(b))])
    fold = np.array([fold_of[g] for g in np.concatenate([groups_a, groups_b]).tolist()])
    right = np.zeros(len(x))
    for k in range(folds):
        test = fold == k
        if not test.any() or len(np.unique(y[~test])) < 2:
            right[test] = 0.5
            continue
        seen, new = _reduced(x[~test], x[test], components)
        weights = _logistic(seen, y[~test], ridge)
        said = new @ weights[:-1] + weights[-1] > 0
        right[test] = said == (y[test] > 0.5)
    return float(0.5 * (right[y > 0.5].mean() + right[y < 0.5].mean()))


def _reduced(seen: np.ndarray, new: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Both on the standardised leading principal components of the first."""
    scale = seen.std(0)
    keep = scale > 1e-9 * max(float(scale.max()), 1e-30)
    mean = seen[:, keep].mean(0)
    first, other = ((v[:, keep] - mean) / scale[keep] for v in (seen, new))
    _, values, axes = np.linalg.svd(first, full_matrices=False)
    kept = min(components, int((values > 1e-9 * values[0]).sum()))
    spread = values[:kept] / np.sqrt(len(seen))
    return first @ axes[:kept].T / spread, other @ axes[:kept].T / spread


def _logistic(x: Sample, y: Float[np.ndarray, " items"], ridge: float) -> np.ndarray:
    """Ridge logistic regression; weights, then the intercept. Both classes weigh the same."""
    weight = np.where(y > 0.5, 0.5 / max(y.sum(), 1), 0.5 / max((1 - y).sum(), 1)) * len(y)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w[:-1] + w[-1]
        value = weight @ (np.logaddexp(0, z) - y * z) + 0.5 * ridge * w[:-1] @ w[:-1]
        slope = weight * (expit(z) - y)
        return float(value), np.append(x.T @ slope + ridge * w[:-1], slope.sum())

    return minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x


def _check(a: np.ndarray, b: np.ndarray, least: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < least:
        raise ValueError(
            f"got samples of shapes {a.shape} and {b.shape}; expected (items, coordinates) with "
            f"the same coordinates and at least {least} items"
        )
