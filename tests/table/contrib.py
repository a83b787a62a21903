"""What Optax has in ``optax.contrib``."""

import functools

import jax
import jax.numpy as jnp
import optax
import optax.contrib as peers

import gradtx as gx
from gradtx._rules.matrices import axes_by_rank
from tests import references_contrib as C
from tests.table.row import CURVED, FALLING, OF_PARAMS, OF_ROOTS, Row, bowl, falling, of

VALUE = {"value": 1.5}
OF_LOSSES = 3e-6  # a step that is a difference of losses is as exact as they are


def optax_falling(step):
    """`FALLING`, as Optax takes it."""
    return 0.1 - 0.09 * jnp.minimum(step.astype(float) / 12, 1.0)


PER_LEAF = [
    Row(
        "scale_by_acprop",
        gx.scale_by_acprop(0.8, 0.95),
        peer=peers.scale_by_acprop(0.8, 0.95),
        reference=of(C.acprop, b1=0.8, b2=0.95),
        contracts=False,
    ),
    Row(
        "acprop",
        gx.acprop(0.1, weight_decay=0.1),
        peer=peers.acprop(0.1, weight_decay=0.1),
        reference=of(C.acprop, learning_rate=0.1, weight_decay=0.1),
        contracts=False,
    ),
    Row("scale_by_acprop in a chain", gx.chain(gx.scale_by_acprop(), gx.acprop(0.1))),
    Row(
        "scale_by_ademamix",
        gx.scale_by_ademamix(0.8, 0.95, 0.99, 2.0),
        peer=peers.scale_by_ademamix(0.8, 0.95, 0.99, 2.0),
        reference=of(C.ademamix, b1=0.8, b2=0.95, b3=0.99, alpha=2.0),
        contracts=False,
    ),
    Row(
        "ademamix",
        gx.ademamix(0.1, weight_decay=0.1),
        peer=peers.ademamix(0.1, weight_decay=0.1),
        reference=of(C.ademamix, b1=0.9, b2=0.999, b3=0.9999, alpha=5.0, eps=1e-8, learning_rate=0.1, weight_decay=0.1),
        contracts=False,
    ),
    Row(
        "ademamix on a schedule",
        gx.ademamix(0.1, alpha=FALLING),
        peer=peers.ademamix(0.1, alpha=optax_falling),
        reference=of(C.ademamix, b1=0.9, b2=0.999, b3=0.9999, alpha=falling, learning_rate=0.1),
        contracts=False,
    ),
    Row(
        "scale_by_ademamix in a chain",
        gx.chain(gx.scale_by_ademamix(mu_dtype="bfloat16"), gx.ademamix(0.1, b3=gx.linear_schedule(0.5, 0.9, 4))),
    ),
    Row(
        "scale_by_simplified_ademamix",
        gx.scale_by_simplified_ademamix(0.8, 0.9, 2.0),
        peer=peers.scale_by_simplified_ademamix(0.8, 0.9, 2.0),
        reference=of(C.simplified_ademamix, b1=0.8, b2=0.9, alpha=2.0),
        contracts=False,
    ),
    Row(
        "simplified_ademamix",
        gx.simplified_ademamix(0.1, weight_decay=0.1),
        peer=peers.simplified_ademamix(0.1, weight_decay=0.1),
        reference=of(C.simplified_ademamix, b1=0.99, b2=0.95, alpha=0.0, learning_rate=0.1, weight_decay=0.1),
        contracts=False,
    ),
    Row(
        "scale_by_simplified_ademamix in a chain",
        gx.chain(gx.scale_by_simplified_ademamix(), gx.simplified_ademamix(0.1)),
    ),
    Row(
        "scale_by_adopt",
        gx.scale_by_adopt(0.8, 0.95, nesterov=True),
        peer=peers.scale_by_adopt(0.8, 0.95, nesterov=True),
        reference=of(C.adopt, b1=0.8, b2=0.95, nesterov=True),
        contracts=False,
    ),
    Row(
        "adopt",
        gx.adopt(0.1),
        peer=peers.adopt(0.1),
        reference=of(C.adopt, learning_rate=0.1),
        contracts=False,
    ),
    Row(
        "adopt without a clip",
        gx.adopt(0.1, use_clipping=False),
        peer=peers.adopt(0.1, use_clipping=False),
        reference=of(C.adopt, learning_rate=0.1, clipping=False),
        contracts=False,
    ),
    Row("scale_by_adopt in a chain", gx.chain(gx.scale_by_adopt(mu_dtype="bfloat16"), gx.adopt(0.1))),
    Row(
        "scale_by_cocob",
        gx.scale_by_cocob(2.0),
        peer=peers.scale_by_cocob(2.0),
        reference=of(C.cocob, alpha=2.0),
        tolerance=OF_PARAMS,
    ),
    Row(
        "cocob",
        gx.cocob(0.5, 2.0),
        reference=of(C.cocob, alpha=2.0, learning_rate=0.5),
        tolerance=OF_PARAMS,
    ),
    Row(
        "cocob with decay",
        gx.cocob(0.5, 2.0, weight_decay=0.1),
        peer=peers.cocob(0.5, 2.0, weight_decay=0.1),
        contracts=False,
    ),
    Row(
        "scale_by_madgrad",
        gx.scale_by_madgrad(0.1, 0.8),
        reference=of(C.madgrad, learning_rate=0.1, momentum=0.8),
        tolerance=OF_PARAMS,
    ),
    Row(
        "madgrad",
        gx.madgrad(FALLING, weight_decay=0.1),
        reference=of(C.madgrad, learning_rate=falling, weight_decay=0.1),
        tolerance=OF_PARAMS,
    ),
]

WHOLE_TREE = [
    Row("normalize", gx.normalize(), peer=peers.normalize(), reference=C.normalize),
    Row("normalize_by_size", gx.normalize_by_size(0.1), reference=functools.partial(C.normalize_by_size, eta=0.1)),
    Row(
        "scale_by_dog",
        gx.scale_by_dog(0.1, kind="distance"),
        reference=functools.partial(C.dog, first=0.1, kind="distance"),
    ),
    Row(
        "scale_by_dog from a rate",
        gx.scale_by_dog(0.1, kind="learning_rate"),
        reference=functools.partial(C.dog, first=0.1, kind="learning_rate"),
        contracts=False,
    ),
    Row(
        "dog",
        gx.dog(1.0, ("heuristic", 0.1), weight_decay=0.1),
        peer=peers.dog(1.0, ("heuristic", 0.1), weight_decay=0.1),
        reference=functools.partial(C.dog, first=0.1, learning_rate=1.0, weight_decay=0.1),
    ),
    Row(
        "dog from a rate",
        gx.dog(0.5, ("learning_rate", 0.01)),
        peer=peers.dog(0.5, ("learning_rate", 0.01)),
        contracts=False,
    ),
    Row("scale_by_dowg", gx.scale_by_dowg(), reference=functools.partial(C.dowg, first=1e-4), contracts=False),
    Row(
        "dowg",
        gx.dowg(0.5, 0.01),
        peer=peers.dowg(0.5, 0.01),
        reference=functools.partial(C.dowg, first=0.01, learning_rate=0.5),
        contracts=False,
    ),
    Row("scale_by_dowg in a chain", gx.chain(gx.scale_by_dowg(), gx.dowg(weight_decay=0.1))),
    Row(
        "prodigy",
        gx.prodigy(betas=(0.8, 0.95), estim_lr0=1e-3, weight_decay=0.1),
        peer=peers.prodigy(betas=(0.8, 0.95), estim_lr0=1e-3, weight_decay=0.1),
        reference=functools.partial(C.prodigy, betas=(0.8, 0.95), d0=1e-3, weight_decay=0.1),
    ),
    Row(
        "prodigy, guarded",
        gx.prodigy(FALLING, estim_lr0=0.1, safeguard_warmup=True, estim_lr_coef=2.0),
        peer=peers.prodigy(optax_falling, estim_lr0=0.1, safeguard_warmup=True, estim_lr_coef=2.0),
        reference=functools.partial(C.prodigy, learning_rate=falling, d0=0.1, safeguard=True, coefficient=2.0),
        contracts=False,
    ),
    Row("prodigy that grows slowly", gx.prodigy(growth_rate=1.5, bias_correction=False)),
    Row(
        "dadapt_adamw",
        gx.dadapt_adamw(betas=(0.8, 0.95), estim_lr0=1e-3, weight_decay=0.1),
        peer=peers.dadapt_adamw(betas=(0.8, 0.95), estim_lr0=1e-3, weight_decay=0.1),
        reference=functools.partial(C.dadapt_adamw, betas=(0.8, 0.95), d0=1e-3, weight_decay=0.1),
    ),
    Row("momo", gx.momo(weight_decay=0.1, adapt_lower_bound=True), extra=VALUE, tolerance=OF_LOSSES),
    Row("momo_adam", gx.momo_adam(weight_decay=0.1, adapt_lower_bound=True), extra=VALUE, tolerance=OF_LOSSES),
    Row("reduce_on_plateau", gx.reduce_on_plateau(0.5, 1), extra=VALUE),
]


def twice_decayed(library, rate):
    """The same adversary of either library."""
    return library.chain(library.clip_by_global_norm(2.0), library.sgd(rate, 0.5))


NORMAL = gx.chain(gx.normalize(), gx.sgd(0.05))
WRAPPED = [
    Row(
        "schedule_free_sgd",
        gx.schedule_free_sgd(0.1, weight_decay=0.1),
        peer=peers.schedule_free_sgd(0.1, weight_decay=0.1),
        tolerance=OF_PARAMS,
    ),
    Row(
        "schedule_free_adamw",
        gx.schedule_free_adamw(0.1, weight_decay=0.1),
        peer=peers.schedule_free_adamw(0.1, weight_decay=0.1),
        contracts=False,
    ),
    Row(
        "schedule_free_adamw in bfloat16",
        gx.schedule_free_adamw(0.1, 2, r=1.0, state_dtype="bfloat16"),
        tolerance=OF_PARAMS,
    ),
    Row("split_real_and_imaginary", gx.split_real_and_imaginary(gx.chain(gx.adam(FALLING), gx.lookahead_trace(0.5)))),
    Row(
        "mechanize",
        gx.mechanize(gx.sgd(0.1), s_init=1e-3),
        peer=peers.mechanize(optax.sgd(0.1), s_init=1e-3),
        contracts=False,
    ),
    Row(
        "mechanize adam",
        gx.mechanize(gx.adam(FALLING), s_init=0.1),
        peer=peers.mechanize(optax.adam(optax_falling), s_init=0.1),
        tolerance=OF_PARAMS,
    ),
    Row(
        "sam",
        gx.sam(gx.adam(FALLING), gx.chain(gx.add_noise(0.1, 0.5), NORMAL)),
        tolerance=OF_PARAMS,
    ),
    Row(
        "sam of Optax",
        gx.sam(gx.adam(0.1), twice_decayed(gx, 0.05), 3),
        peer=peers.sam(optax.adam(0.1), twice_decayed(optax, 0.05), 3),
        contracts=False,
    ),
    Row(
        "sam of Optax, whose adversary remembers",
        gx.sam(gx.adam(0.1), twice_decayed(gx, 0.05), 3, reset_state=False),
        peer=peers.sam(optax.adam(0.1), twice_decayed(optax, 0.05), 3, reset_state=False),
        contracts=False,
    ),
    Row(
        "asam",
        gx.asam(gx.sgd(0.1), 0.5, 0.1),
        reference=functools.partial(C.asam, rate=0.1, rho=0.5, eta=0.1),
        contracts=False,
    ),
    Row("asam that stays", gx.asam(gx.sgd(FALLING), moves_params=False)),
    Row("sam in one step", gx.sam(gx.adam(0.1), NORMAL, 3, opaque_mode=True), extra=CURVED),
]


def no_state(params):
    """Nothing to remember."""
    return optax.EmptyState()


def two_examples(updates, state, params=None):
    """Two examples of each gradient, whose mean is a quarter of it."""
    return jax.tree.map(lambda g: jnp.stack([g, -g / 2]), updates), state


OBJECTIVE = {"obj_fn": jax.tree_util.Partial(bowl)}
EXAMPLES = gx.foreign(optax.GradientTransformation(no_state, two_examples), name="two_examples")
OTHERS = [
    Row("hutchinson_estimator_diag_hessian", gx.hutchinson_estimator_diag_hessian(3), extra=OBJECTIVE),
    Row("scale_by_sophia", gx.scale_by_sophia(update_interval=2, mu_dtype="bfloat16"), extra=OBJECTIVE),
    Row("sophia", gx.sophia(0.1, gamma=0.5, update_interval=1, fresh_hessian=True), extra=CURVED),
    Row("differentially_private_aggregate", gx.chain(EXAMPLES, gx.differentially_private_aggregate(0.5, 0.1, 3))),
    Row("dpsgd", gx.chain(EXAMPLES, gx.dpsgd(FALLING, 0.5, 0.1, 3, 0.9, nesterov=True))),
]

MATRICES = {"w": jnp.array([[0.5, -1.0, 2.0]]), "b": {"c": jnp.array([[1.5, -0.5], [0.25, -2.0], [1.0, 0.75]])}}
BOTH = axes_by_rank
OF_STACKS = {"w": gx.MuonDimensionNumbers(1, 0), "b": None}
THEIR_STACKS = {"w": peers.MuonDimensionNumbers(1, 0), "b": None}
OF_MATRICES = [
    Row("orthogonalize", gx.orthogonalize(steps=2, adaptive=True), params=MATRICES, tolerance=OF_ROOTS),
    Row("scale_by_shape", gx.scale_by_shape(0.2), params=MATRICES),
    Row("scale_by_muon", gx.scale_by_muon(ns_steps=2, mu_dtype="bfloat16"), params=MATRICES, tolerance=OF_ROOTS),
    Row(
        "muon",
        gx.muon(0.1, weight_decay=0.1, muon_weight_dimension_numbers=BOTH),
        peer=peers.muon(0.1, weight_decay=0.1),
        tolerance=OF_ROOTS,
    ),
    Row("scale_by_galore", gx.scale_by_galore(1, 2, 0.5), tolerance=OF_ROOTS),
    Row(
        "galore",
        gx.galore(0.1, 2, 3, 0.5, weight_decay=0.1),
        tolerance=OF_ROOTS,
    ),
    *(
        Row(
            f"muon of Optax, {name}",
            gx.muon(0.1, **{"muon_weight_dimension_numbers": BOTH, **ours}),
            peer=peers.muon(0.1, **theirs),
            contracts=False,
        )
        for name, ours, theirs in (
            ("adaptive", *[{"adaptive": True, "nesterov": False}] * 2),
            ("spectral", *[{"preconditioning": "spectral"}] * 2),
            ("aol", *[{"preconditioning": "aol"}] * 2),
            ("schatten", *[{"preconditioning": "schatten"}] * 2),
            ("dion", *[{"ns_coeffs": "dion", "consistent_rms": 0.2, "adam_learning_rate": 0.02}] * 2),
            ("turned", {"muon_weight_dimension_numbers": OF_STACKS}, {"muon_weight_dimension_numbers": THEIR_STACKS}),
        )
    ),
]

CONTRIB = PER_LEAF + WHOLE_TREE + WRAPPED + OTHERS + OF_MATRICES
