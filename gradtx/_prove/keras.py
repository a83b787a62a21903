"""Keras: the golden values of its optimizers' tests, four digits each."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import after

GOLDEN = np.concatenate([np.full((1, 10), 0.01), np.tile(np.arange(1, 11) / 10, (4, 1))])  # the tests' gradients
COLUMNS = [0, 4, 9]  # of the ten parameters, the first, the fifth and the last


def hat(rate: float, eps: float, size: Callable[..., Any], *after_it: Any) -> Any:
    """Adam with ε-hat, as Keras has it, around one or the other denominator."""
    return gradtx.chain(
        gradtx.scale_by_ewma(0.9),
        gradtx.bias_correction(0.9),
        size(0.999, eps, bias_correction=False),
        gradtx.root_bias_correction(0.999),
        *after_it,
        gradtx.scale_by_learning_rate(rate),
    )


def adafactor(rate: float, threshold: float = 1.0, least: float = 1e-3, eps: float = 1e-30, decay: float = 0.8) -> Any:
    """Adafactor as Keras has it, whose rate falls as 1/√t however ``relative_step`` is; factors for matrices."""

    def falling(step: Any) -> Any:
        return jnp.minimum(rate, 1 / jnp.sqrt(jnp.asarray(step + 1, float)))

    return gradtx.chain(
        gradtx.scale_by_factored_rms(decay, epsilon=eps, min_dim_size_to_factor=2),
        gradtx.clip_by_block_rms(threshold),
        gradtx.scale_by_learning_rate(falling),
        gradtx.scale_by_param_block_rms(least),
    )


def golden(setting: str, published: str, tx: Callable[[], Any], **more: Any) -> Row:
    """Five updates from ones; the first, fifth and last parameter after each."""
    return Row(
        f"{setting}, 5 updates from 1",
        published,
        lambda: after(tx(), GOLDEN, np.ones(10))[:, COLUMNS],
        decimals=4,
        **more,
    )


def alike(setting: str, published: str, tx: Callable[[], Any], **more: Any) -> Row:
    """The same where all parameters stay nearly alike, and one number an update is printed."""
    return Row(
        f"{setting}, 5 updates from 1",
        published,
        lambda: after(tx(), GOLDEN, np.ones(10))[:, 4],
        decimals=4,
        **more,
    )


def single(setting: str, published: str, tx: Callable[[], Any], shape: tuple[int, ...] = (4,), **more: Any) -> Row:
    """One update of 1, 2, 3, 4 by the gradients 1, 6, 7, 2."""
    gradients = jnp.array([1.0, 6.0, 7.0, 2.0]).reshape(1, *shape)
    start = np.arange(1.0, 5.0).reshape(shape)
    return Row(f"{setting}, a single update", published, lambda: after(tx(), gradients, start)[0], decimals=4, **more)


SOURCE = Source(
    "keras",
    "Keras: the tests of its optimizers",
    "keras/src/optimizers/*_test.py of keras-team/keras (Apache-2.0)",
    (
        golden(
            "SGD(.01)",
            "0.9999 0.9999 0.9999 0.9989 0.9949 0.9899 0.9979 0.9899 0.9799 0.9969 0.9849 0.9699 0.9959 0.9799 0.9599",
            lambda: gradtx.sgd(0.01),
        ),
        golden(
            "Adagrad(.2, .3, 1e-6)",
            "0.9963 0.9963 0.9963 0.9604 0.8615 0.8209 0.9251 0.7497 0.6891 0.8903 0.6521 0.579 0.856 0.5644 0.4825",
            lambda: gradtx.adagrad(0.2, 0.3, 1e-6),
        ),
        golden(
            "AdamW(1, weight decay .5, ε-hat 2)",
            "0.4998 0.4998 0.4998 0.2486 0.244 0.2382 0.1223 0.1124 0.1003 0.0586 0.0439 0.0258 0.0263 0.0073 -0.0159",
            lambda: hat(1.0, 2.0, gradtx.scale_by_rms, gradtx.add_decayed_weights(0.5)),
        ),
        golden(
            "Adamax(.2, .85, .95, 1e-6)",
            "0.8 0.8 0.8 0.6827 0.6901 0.691 0.5333 0.5451 0.5466 0.368 0.3829 0.3848 0.1933 0.2105 0.2126",
            lambda: gradtx.adamax(0.2, 0.85, 0.95, 1e-6),
        ),
        golden(
            "Nadam(.5, .5, .67, 1e-5)",
            "0.4281 0.4281 0.4281 -0.1738 -0.1721 -0.1717 -0.7115 -0.709 -0.7084 -1.2335 -1.2306 -1.2299 "
            "-1.7492 -1.7461 -1.7454",
            lambda: gradtx.nadam(0.5, 0.5, 0.67, 1e-5, momentum_decay=1.0),
        ),
        golden(
            "Adafactor(.5, clip .9)",
            "0.55 0.55 0.55 0.3031 0.3024 0.3024 0.1671 0.1663 0.1663 0.0923 0.0914 0.0914 0.0554 0.0546 0.0545",
            lambda: adafactor(0.5, 0.9, 1e-4, 1e-15, 0.65),
        ),
        alike(
            "Adam(.001, AMSGrad, ε-hat 1e-7)",
            "0.999 0.9982 0.9974 0.9965 0.9955",
            lambda: hat(1e-3, 1e-7, gradtx.scale_by_max_rms),
        ),
        alike("Adadelta(1, .8, 1e-6)", "0.9978 0.9947 0.9915 0.9882 0.9849", lambda: gradtx.adadelta(1.0, 0.8, 1e-6)),
        alike(
            "RMSprop(.001, centered, 1e-7)",
            "0.9967 0.9933 0.9908 0.9885 0.9864",
            lambda: gradtx.rmsprop(1e-3, 0.9, 1e-7, centered=True),
        ),
        alike("Lion(.001)", "0.999 0.998 0.997 0.996 0.995", lambda: gradtx.lion(1e-3, weight_decay=0.0)),
        alike(
            "LAMB(.001)",
            "0.999 0.9982 0.9974 0.9965 0.9955",
            lambda: gradtx.lamb(1e-3, eps=1e-7),
            reason="the golden values are those of its AMSGrad, digit for digit; that test allows 5e-4, which hides it",
        ),
        single("Adam(.5)", "0.5 1.5 2.5 3.5", lambda: hat(0.5, 1e-7, gradtx.scale_by_rms)),
        single("AdamW(.5)", "0.4980 1.4960 2.494 3.492", lambda: gradtx.adamw(0.5, eps=1e-7, weight_decay=0.004)),
        single("Adagrad(.5)", "0.5233 1.5007 2.5005 3.5061", lambda: gradtx.adagrad(0.5, 0.1, 1e-7)),
        single("Adadelta(.5)", "0.9993 1.9993 2.9993 3.9993", lambda: gradtx.adadelta(0.5, 0.95, 1e-7)),
        single("Nadam(.5)", "0.4686 1.4686 2.4686 3.4686", lambda: gradtx.nadam(0.5, eps=1e-7, momentum_decay=1.0)),
        single("RMSprop(.5)", "-0.5811 0.4189 1.4189 2.4189", lambda: gradtx.rmsprop(0.5, 0.9, 1e-7)),
        single("LAMB(.5)", "-0.3693 0.6306 1.6306 2.6306", lambda: gradtx.lamb(0.5, eps=1e-7), truncated=True),
        single("Adafactor(.5)", "-0.3693 0.6307 1.6307 2.6307", lambda: adafactor(0.5)),
        single("Adafactor(.5), a matrix", "0.7007 -0.0081 1.2492 3.4407", lambda: adafactor(0.5), (2, 2)),
        Row(
            "AdamW(1, weight decay .004) on 2, three updates without a gradient",
            "1.9760959",
            lambda: after(gradtx.adamw(1.0, weight_decay=0.004), np.zeros((3, 1)), [2.0])[-1],
        ),
    ),
)
