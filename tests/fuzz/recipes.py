"""Recipes as chains of links, written down from the papers; a recipe is a scope of its own."""

from typing import Any

from tests.fuzz.case import C


def rate(learning_rate: Any) -> C:
    return C("scale_by_learning_rate", learning_rate=learning_rate)


def mean(b1: Any) -> tuple[C, C]:
    return C("scale_by_ewma", decay=b1), C("bias_correction", decay=b1)


def decayed(weight_decay: Any, mask: Any) -> C:
    return C("add_decayed_weights", weight_decay=weight_decay, **({} if mask is None else {"mask": mask}))


def sgd(learning_rate, momentum=None, nesterov=False):
    """Sutskever et al. 2013."""
    velocity = () if momentum is None else (C("trace", decay=momentum, nesterov=nesterov),)
    return *velocity, rate(learning_rate)


def nesterov(learning_rate, momentum=0.9):
    """Sutskever et al. 2013, eqs. 3 and 4."""
    return rate(learning_rate), C("lookahead_trace", decay=momentum)


def adam(learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0):
    """Kingma & Ba 2015, Algorithm 1."""
    return *mean(b1), C("scale_by_rms", decay=b2, eps=eps, eps_root=eps_root), rate(learning_rate)


def adamw(learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, weight_decay=1e-4, mask=None):
    """Loshchilov & Hutter 2019, Algorithm 2."""
    divided = C("scale_by_rms", decay=b2, eps=eps, eps_root=eps_root)
    return *mean(b1), divided, decayed(weight_decay, mask), rate(learning_rate)


def nadam(learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0):
    """Dozat 2016, Algorithm 2, with a constant β₁."""
    ahead = C("scale_by_ewma", decay=b1), C("nesterov_bias_correction", decay=b1)
    return *ahead, C("scale_by_rms", decay=b2, eps=eps, eps_root=eps_root), rate(learning_rate)


def laprop(learning_rate, b1=0.9, b2=0.999, eps=1e-15, eps_root=0.0, weight_decay=0.0, mask=None):
    """Ziyin, Wang & Ueda 2020, Algorithm 1, with the rate outside of the average."""
    divided = C("scale_by_rms", decay=b2, eps=eps, eps_root=eps_root)
    return divided, *mean(b1), decayed(weight_decay, mask), rate(learning_rate)


def adamax(learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """Kingma & Ba 2015, Algorithm 2."""
    return *mean(b1), C("scale_by_infinity_norm", decay=b2, eps=eps), rate(learning_rate)


def amsgrad(learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, maximum="corrected"):
    """Reddi, Kale & Kumar 2018, Algorithm 2, with corrections."""
    largest = C("scale_by_max_rms", decay=b2, eps=eps, eps_root=eps_root, maximum=maximum)
    return *mean(b1), largest, rate(learning_rate)


def adabelief(learning_rate, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, nesterov=False):
    """Zhuang et al. 2020, Algorithm 2."""
    belief = C("scale_by_belief", b1=b1, b2=b2, eps=eps, eps_root=eps_root, nesterov=nesterov)
    return belief, rate(learning_rate)


def yogi(learning_rate, b1=0.9, b2=0.999, eps=1e-3):
    """Zaheer et al. 2018, Algorithm 2."""
    return C("scale_by_yogi", b1=b1, b2=b2, eps=eps), rate(learning_rate)


def adagrad(learning_rate, initial_accumulator_value=0.1, eps=1e-7, eps_in_sqrt=True):
    """Duchi, Hazan & Singer 2011, Figure 1."""
    start = {"initial_accumulator_value": initial_accumulator_value}
    return C("scale_by_rss", eps=eps, eps_in_sqrt=eps_in_sqrt, **start), rate(learning_rate)


def rmsprop(learning_rate, decay=0.9, eps=1e-8, momentum=None, eps_in_sqrt=True, centered=False, nesterov=False):
    """Tieleman & Hinton 2012, lecture 6.5; Graves 2013; the momentum adds up steps, the rate included."""
    kind = "scale_by_stddev" if centered else "scale_by_rms"
    plain = {} if centered else {"bias_correction": False}
    if eps_in_sqrt and not centered:
        divided = C(kind, decay=decay, eps=0.0, eps_root=eps, **plain)
    else:
        divided = C(kind, decay=decay, eps=eps, **({"eps_in_sqrt": eps_in_sqrt} if centered else {}), **plain)
    velocity = () if momentum is None else (C("chain", momentum=C("trace", decay=momentum, nesterov=nesterov)),)
    return divided, rate(learning_rate), *velocity


def lion(learning_rate, b1=0.9, b2=0.99, weight_decay=1e-3, mask=None):
    """Chen et al. 2023, Algorithm 2."""
    return C("lion_momentum", b1=b1, b2=b2), C("scale_by_sign"), decayed(weight_decay, mask), rate(learning_rate)


def signum(learning_rate, beta=0.9):
    """Bernstein et al. 2018, Algorithm 2."""
    return C("scale_by_ewma", decay=beta), C("scale_by_sign"), rate(learning_rate)


RECIPES = {f.__name__: f for f in (
    sgd, nesterov, adam, adamw, nadam, laprop, adamax, amsgrad, adabelief, yogi, adagrad, rmsprop, lion, signum,
)}  # fmt: skip
