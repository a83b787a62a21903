"""Large models of language and images: accumulation, masks by path, groups, schedules, steps that are skipped."""

import functools
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tests.clients.training import STEPS, by_path, loss, model, normal, seen, train


def decays(params):
    """Where EasyLM, T5X and Levanter decay: kernels and embeddings, no biases, no scales."""
    return by_path(lambda path: not re.search("bias|scale", path), params)


def easylm_adamw(optax):
    """AdamW with warm-up, a clip, a mask of the decay, and an accumulation of gradients around it all."""
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0, peak_value=0.1, warmup_steps=2, decay_steps=4, end_value=0.01
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(learning_rate=schedule, weight_decay=0.1, b1=0.9, b2=0.95, mask=decays),
    )
    params, state = train(optax, optax.MultiSteps(optimizer, 2), model(), steps=7)
    return {"params": params, "state": (state.mini_step, state.gradient_step, jax.jit(schedule)(state.gradient_step))}


class ScheduledDecay(NamedTuple):
    count: Any


def palm_adafactor(optax):
    """Adafactor of PaLM: α = c/√t, momentum, no factors, and a decay of α² that the project writes itself."""

    def rate(step):
        return 0.1 / jnp.sqrt(jnp.maximum(step, 2))

    def scheduled_decay(schedule, mask):
        def init(params):
            return ScheduledDecay(jnp.zeros([], jnp.int32))

        def update(updates, state, params):
            if params is None:
                raise ValueError("the decay needs the parameters")
            here = schedule(state.count)
            return jax.tree.map(lambda u, p: u + here * p, updates, params), ScheduledDecay(state.count + 1)

        return optax.masked(optax.GradientTransformation(init, update), mask)

    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adafactor(
            learning_rate=rate,
            multiply_by_parameter_scale=True,
            momentum=0.9,
            decay_rate=0.8,
            factored=False,
            clipping_threshold=None,
            dtype_momentum=jnp.zeros([], float).dtype,
        ),
        scheduled_decay(lambda step: -jnp.square(rate(step)), decays),
    )
    params, state = train(optax, optimizer, model())
    return {"params": params, "state": state[2].inner_state.count}


def found(kind, state):
    """All states of a kind inside another, as big_vision looks for them."""
    is_kind = lambda x: isinstance(x, kind)  # noqa: E731
    return [x for x in jax.tree.leaves(state, is_leaf=is_kind) if is_kind(x)]


def big_vision(optax):
    """A chain by hand: a clip, Adafactor's moments, rates and decays by mask, schedules by label, one group frozen."""
    params = model()
    mask = lambda pattern: by_path(lambda path: bool(re.fullmatch(pattern, path)), params)  # noqa: E731
    frozen, rest = mask("embed/.*"), mask("(?!embed).*")

    def decay_rate(step, exponent):
        return jnp.minimum(0.999, 1.0 - (jnp.asarray(step, float) + 1.0) ** (-exponent))

    tx = optax.chain(
        optax.masked(optax.clip_by_global_norm(1.0), rest),
        optax.scale_by_factored_rms(
            factored=True,
            decay_rate=0.8,
            step_offset=0,
            min_dim_size_to_factor=3,
            epsilon=1e-30,
            decay_rate_fn=decay_rate,
        ),
        optax.clip_by_block_rms(1.0),
        optax.ema(0.9, debias=False, accumulator_dtype=jnp.zeros([], float).dtype),
        optax.masked(optax.scale(0.1), mask(".*/bias")),
        optax.masked(optax.add_decayed_weights(1e-2), mask(".*/kernel")),
        optax.masked(optax.set_to_zero(), frozen),
        optax.masked(optax.scale_by_schedule(optax.linear_schedule(0.1, 0.0, 10)), mask("layer/.*")),
        optax.masked(optax.scale_by_schedule(lambda step: 0.05 / (step + 1)), mask("head/.*")),
        optax.scale(-1.0),
    )
    params, state = train(optax, tx, params)
    counts = [s.count for s in found(optax.ScaleByScheduleState, state)]
    return {"params": params, "state": (counts, [s.count for s in found(optax.FactoredState, state)])}


def big_vision_bfloat16(optax):
    """Adafactor whose momentum is kept in bfloat16."""
    tx = optax.chain(
        optax.scale_by_factored_rms(min_dim_size_to_factor=3),
        optax.ema(0.9, debias=False, accumulator_dtype=jnp.bfloat16),
        optax.scale(-0.1),
    )
    params, state = train(optax, tx, model())
    assert {x.dtype for x in jax.tree.leaves(state[1].ema)} == {jnp.dtype(jnp.bfloat16)}
    return {"params": params, "state": state[1].count}


def maxtext_spikes(optax):
    """A wrapper of the project's own: the step is skipped where the loss, an extra argument, is a spike."""

    def skip_spikes(inner, limit):
        def init(params):
            return {"inner": inner.init(params), "losses": jnp.zeros(3), "count": jnp.zeros([], jnp.int32)}

        def update(updates, state, params=None, *, loss=None, **extra):
            usual = jnp.mean(state["losses"]) + limit
            is_spike = (state["count"] >= 3) & (loss > usual)

            def skip():
                return jax.tree.map(jnp.zeros_like, updates), state["inner"]

            def take():
                return inner.update(updates, state["inner"], params, **extra)

            updates, after = jax.lax.cond(is_spike, skip, take)
            losses = state["losses"].at[state["count"] % 3].set(loss)
            return updates, {"inner": after, "losses": losses, "count": state["count"] + 1}

        return optax.GradientTransformationExtraArgs(init, update)

    inner = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1, b2=0.95, weight_decay=0.1))
    tx, params = skip_spikes(inner, 1.0), model()

    @jax.jit
    def step(params, state, loss_now, n):
        updates, state = tx.update(jax.grad(loss)(params, n), state, params, loss=loss_now)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for n, loss_now in enumerate((1.0, 1.2, 0.9, 50.0, 1.0)):
        params, state = step(params, state, loss_now, n)
    counts = seen(optax, inner, params, state["inner"])[1][0].count
    return {"params": params, "state": (state["losses"], counts)}


def maxtext_skipped(optax):
    """Steps that are skipped where a gradient is not finite, or is too large; and what is frozen by label."""
    labels = by_path(lambda path: "frozen" if path.startswith("embed") else "trained", model())
    tx = optax.multi_transform({"trained": optax.adamw(0.1), "frozen": optax.set_to_zero()}, labels)
    guarded = optax.apply_if_finite(tx, max_consecutive_errors=3)
    skipping = optax.MultiSteps(
        optax.sgd(0.1, momentum=0.9),
        every_k_schedule=2,
        should_skip_update_fn=functools.partial(optax.skip_large_updates, max_squared_norm=1e4),
    )

    def run(tx, spoilt):
        params = model()
        state = tx.init(params)

        @jax.jit
        def step(params, state, n):
            gradients = jax.grad(loss)(params, n)
            first = gradients["head"]["bias"][0]
            gradients["head"]["bias"] = gradients["head"]["bias"].at[0].set(jnp.where(n == 2, spoilt, first))
            updates, state = tx.update(gradients, state, params)
            return optax.apply_updates(params, updates), state

        for n in range(STEPS):
            params, state = step(params, state, n)
        return params, seen(optax, tx, params, state)

    params, state = run(guarded, jnp.nan)
    assert (params["embed"]["embedding"] == model()["embed"]["embedding"]).all()
    others, other = run(skipping, 1e6)
    reads = (state.total_notfinite, state.last_finite, state.notfinite_count)
    reads += (other.mini_step, other.gradient_step, other.skip_state["norm_squared"])
    return {"params": (params, others), "state": reads}


def octo(optax):
    """Groups by path: AdamW with warm-up for what is trained, and nothing for what is frozen; counts read by class."""
    schedule = optax.join_schedules(
        [optax.linear_schedule(0.0, 0.1, 3), lambda step: 0.1 / jnp.sqrt(1.0 + step)], boundaries=[3]
    )
    frozen = ("embed/*", "*/scale", "rope/*")
    still = lambda path: any(re.fullmatch(p.replace("*", ".*"), path) for p in frozen)  # noqa: E731
    partition = lambda params: by_path(lambda path: "frozen" if still(path) else "trainable", params)  # noqa: E731
    trained = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule, weight_decay=0.01, mu_dtype=None, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p)),
    )
    tx = optax.multi_transform({"trainable": trained, "frozen": optax.set_to_zero()}, partition)
    params, state = train(optax, tx, model())
    inner = state.inner_states["trainable"].inner_state
    return {"params": params, "state": (inner[1][0].count, jax.tree.leaves(inner[1][0].mu))}


def levanter(optax):
    """A function that builds the chain from the rate, whose schedule is made of pieces; the rate is in the state."""

    def optimizer(learning_rate):
        parts = [optax.clip_by_global_norm(1.0), optax.scale_by_adam(0.9, 0.95, 1e-8)]
        parts.append(optax.add_decayed_weights(0.1, decays))
        parts.append(optax.scale(-learning_rate))
        return optax.chain(*parts)

    schedule = optax.join_schedules(
        [optax.linear_schedule(0.0, 0.1, 2), optax.cosine_decay_schedule(0.1, 4, 0.1)], boundaries=[2]
    )
    tx = optax.inject_hyperparams(optimizer)(learning_rate=schedule)
    params, state = train(optax, tx, model())
    return {"params": params, "state": (state.count, state.hyperparams["learning_rate"])}


def muon_labels(optax):
    """Groups by a function that labels leaves: matrices are orthogonalized, in a link of the project; the rest Adam."""

    def orthogonalize():
        def init(params):
            return optax.EmptyState()

        def one(x):
            x = x / (jnp.linalg.norm(x) + 1e-7)
            for _ in range(5):
                x = 1.5 * x - 0.5 * x @ x.T @ x
            return x

        def update(updates, state, params=None):
            is_out = lambda x: isinstance(x, optax.MaskedNode)  # noqa: E731
            return jax.tree.map(lambda x: x if is_out(x) else one(x), updates, is_leaf=is_out), state

        return optax.GradientTransformation(init, update)

    def labels(params):
        return jax.tree.map_with_path(
            lambda path, x: "muon" if x.ndim == 2 and "embed" not in str(path) else "adam", params
        )

    muon = optax.chain(
        optax.trace(0.95, nesterov=True),
        orthogonalize(),
        optax.add_decayed_weights(0.1),
        optax.scale_by_learning_rate(0.02),
    )
    tx = optax.partition(transforms={"muon": muon, "adam": optax.adamw(0.01, weight_decay=0.0)}, param_labels=labels)
    params, state = train(optax, tx, model())
    trace = state.inner_states["muon"].inner_state[0].trace
    assert isinstance(trace["embed"]["embedding"], optax.MaskedNode)
    return {"params": params, "state": jax.tree.leaves(trace)}


def lora(optax):
    """Adapters are trained, weights stand still: `optax.masked` around the chain, and zeros for the complement."""
    params = {"w": normal(4, 3), "lora_a": normal(4, 2, seed=1), "lora_b": jnp.zeros((2, 3))}
    trained = {"w": False, "lora_a": True, "lora_b": True}
    tx = optax.chain(
        optax.masked(optax.adamw(0.1), trained),
        optax.masked(optax.set_to_zero(), jax.tree.map(lambda x: not x, trained)),
    )
    params, state = train(optax, tx, params)
    return {"params": params, "state": state[0].inner_state[0].count}
