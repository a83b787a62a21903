"""A rule for one array: AdaBelief (Zhuang et al. 2020, Algorithm 2)."""

from gradtx import Decay, NonNegative, abs_sq, ewma, per_leaf, real_zeros, root, transformation, zeros


@transformation
def scale_by_belief(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-16, eps_root: NonNegative = 1e-16):
    """The average gradient, over how far gradients are from it."""

    def formula(u, mu, nu, *, t):
        mu = ewma(b1, mu, u)
        nu = ewma(b2, nu, abs_sq(u - mu)) + eps_root
        return mu / (1 - b1**t) / (root(nu / (1 - b2**t)) + eps), mu, nu

    return per_leaf(formula, mu=zeros, nu=real_zeros)
