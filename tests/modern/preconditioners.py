"""Rules that precondition with matrices, or with few numbers for many, in the conventions of what was recorded."""

import jax
import jax.numpy as jnp

import gradtx as gx

RATE = gx.scale_by_learning_rate(0.001)


# What the recorded code does besides ----------------------------------------------------------------------------------


@gx.transformation
def mixed_with_the_last(inner: gx.Link, part: gx.Decay):
    """The gradient mixed with the last preconditioned one, which is the momentum of that Shampoo."""

    def update(step, updates, state, *, t):
        mixed = jax.tree.map(lambda u, last: u + part * (jnp.where(t == 1, u, last) - u), updates, state["last"])
        new, inside = step(mixed)
        return new, {"inner": inside, "last": new}

    return gx.around(inner, update, init=lambda params: {"last": jax.tree.map(jnp.zeros_like, params)}, every_step=True)


@gx.transformation
def over_its_rms(eps=1e-8):
    """Each update over its root mean square."""
    return gx.per_leaf(lambda u: u / (gx.root(jnp.mean(u**2)) + eps))


@gx.transformation
def with_an_axis_of_one(inner: gx.Link):
    """Arrays of another rank: where no axes can be merged, the recorded code adds one in front."""

    def turned(tree):
        return jax.tree.map(lambda x: x[None], tree)

    def update(step, updates, state, *, gradient):
        new, inside = step(turned(updates), gradient=turned(gradient))
        return jax.tree.map(lambda u: u[0], new), {"inner": inside}

    return gx.around(inner, update, view=turned, every_step=True)


def plus(a, b):
    """The sum."""
    return a + b


def beside_the_raw_root(step):
    """ε that is added to the root before its correction."""
    return 1e-8 / jnp.sqrt(1 - 0.95 ** (jnp.asarray(step, float) + 1))


def beside_the_longer_root(step):
    """The same with the decay of Conda."""
    return 1e-8 / jnp.sqrt(1 - 0.999 ** (jnp.asarray(step, float) + 1))


def from_the_second(step):
    """0 at the first step: until they are computed, the recorded roots are zero."""
    return jnp.where(step < 1, 0.0, 1.0)


def left_of_the_start(step):
    """The statistics begin as 10⁻⁶ I, and decay."""
    decay = 0.999 ** (jnp.asarray(step, float) + 1)
    return 1e-6 * decay / (1 - decay)


def before(n):
    """1 before the n-th step."""
    return lambda step: jnp.where(step < n - 1, 1.0, 0.0)


def since(n):
    """1 from the n-th step on."""
    return lambda step: jnp.where(step < n - 1, 0.0, 1.0)


def scalable(start, every, size, grafting, merged=False):
    """Grafted Shampoo with Nesterov's momentum; before it starts, the momentum of what it is grafted on."""
    momentum = gx.chain(gx.trace(0.9), gx.nesterov_lookahead(0.9))  # named below: of what comes in, not of gradients
    roots = {"precondition_frequency": every, "staggered": False, "start": "identity", "roots": "newton"}
    blocks = gx.scale_by_shampoo(0.999, left_of_the_start, None, 1e-6, 1e-3, block_size=size, **roots)
    matrices = {"matrices": gx.graft(blocks, grafting), "vectors": grafting}
    if merged:
        matrices["widened"] = gx.graft(with_an_axis_of_one(blocks), grafting)
    late = gx.partition(matrices, {"w": "widened" if merged else "matrices", "u": "matrices", "b": "vectors"})
    branches = {
        "early": gx.chain(step=grafting, momentum=momentum, gate=gx.scale_by_schedule(before(start))),
        "late": gx.chain(step=late, momentum=momentum, gate=gx.scale_by_schedule(since(start))),
    }
    return gx.chain(gx.fork(plus, **branches), RATE)


def adafactor(learning_rate):
    """The form of Hugging Face; its momentum is kept in bfloat16, which is rounded as there."""
    return gx.chain(
        gx.scale_by_factored_rms(0.8, min_dim_size_to_factor=1),
        gx.clip_by_block_rms(1.0),
        learning_rate,
        momentum_in_bfloat16(),
        gx.scale(-1.0),
    )


@gx.transformation
def momentum_in_bfloat16():
    """An average with decay 0.9 of which every number is rounded to bfloat16 and every step computed in float32."""

    def formula(u, mu):
        u, mu = (x.astype(jnp.bfloat16).astype(jnp.float32) for x in (u, mu))
        mu = (mu + jnp.float32(0.1) * (u - mu)).astype(jnp.bfloat16).astype(jnp.float64)
        return mu, mu

    return gx.per_leaf(formula, mu=gx.zeros)


def relative(step):
    """The rate of a warm-up by 10⁻⁶ a step."""
    step = jnp.asarray(step, float) + 1
    return jnp.minimum(1e-6 * step, 1 / jnp.sqrt(step))


# What we have ---------------------------------------------------------------------------------------------------------

MOMENTUM = gx.scale_by_ewma(0.95)
DECAYED = (gx.scale(1 - 1e-5), gx.add_decayed_weights(0.01))  # the decay is that of what the step has made
SHAMPOO = {"precondition_frequency": 2, "staggered": False, "start": "identity"}

PRECONDITIONERS = {
    "pytorch_optimizer.SOAP(lr=0.001, precondition_frequency=3)": gx.chain(
        gx.in_eigenbasis(
            gx.chain(
                MOMENTUM, gx.bias_correction(0.95), gx.rotated(gx.scale_by_rms(0.95, beside_the_raw_root)), *DECAYED
            ),
            precondition_frequency=3,
            staggered=False,
        ),
        RATE,
    ),
    "pytorch_optimizer.SOAP(lr=0.001, correct_bias=False, normalize_gradient=True, precondition_frequency=2)": gx.chain(
        gx.in_eigenbasis(
            gx.chain(MOMENTUM, gx.rotated(gx.scale_by_rms(0.95, bias_correction=False)), over_its_rms(), *DECAYED),
            precondition_frequency=2,
            staggered=False,
        ),
        RATE,
    ),
    "pytorch_optimizer.Shampoo(lr=0.001, momentum=0.9, preconditioning_compute_steps=1)": gx.chain(
        mixed_with_the_last(gx.scale_by_shampoo(eps=1e-6), 0.9), RATE
    ),
    "pytorch_optimizer.Shampoo(lr=0.001, preconditioning_compute_steps=2, matrix_eps=0.0001)": gx.chain(
        gx.scale_by_shampoo(eps=1e-4, **SHAMPOO), gx.scale_by_schedule(from_the_second), RATE
    ),
    "pytorch_optimizer.ScalableShampoo(lr=0.001, start_preconditioning_step=2, preconditioning_compute_steps=1, "
    "block_size=8)": scalable(2, 1, 8, gx.identity()),
    "pytorch_optimizer.ScalableShampoo(lr=0.001, start_preconditioning_step=3, preconditioning_compute_steps=2, "
    "block_size=4, graft_type=1)": scalable(3, 2, 4, gx.identity(), merged=True),
    "pytorch_optimizer.CAME(lr=0.001)": gx.came(0.001),
    "pytorch_optimizer.CAME(lr=0.001, weight_decay=0.01)": gx.came(0.001, weight_decay=0.01),
    "pytorch_optimizer.Conda(lr=0.001)": gx.conda(0.001, eps=beside_the_longer_root, staggered=False),
    "pytorch_optimizer.AdaFactor(lr=0.001, beta1=None, scale_parameter=False, relative_step=False)": adafactor(
        gx.scale(0.001)
    ),
    "pytorch_optimizer.AdaFactor(lr=0.001, scale_parameter=True, relative_step=True, warmup_init=True)": adafactor(
        gx.chain(gx.scale_by_schedule(relative), gx.scale_by_param_block_rms(1e-3))
    ),
}

# The recorded code finds its bases in float32, so its steps of 0.001 have errors of 1e-7 of their size.
TOLERANCES = dict.fromkeys((name for name in PRECONDITIONERS if "SOAP" in name or "Conda" in name), 1e-8)
