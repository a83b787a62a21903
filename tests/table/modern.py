"""Modern first-order rules, and their links."""

import functools

import jax
import jax.numpy as jnp

import gradtx as gx
from tests import references as R
from tests import references_modern as M
from tests.table.row import FALLING, OF_PARAMS, Row, falling, of


def classes(params):
    """The logits of three rows, from all the parameters."""
    flat = jnp.concatenate([jnp.ravel(x).astype(float) for x in jax.tree.leaves(params)] + [jnp.zeros(2)])
    return jnp.outer(jnp.arange(1.0, 4.0), flat)


RISING = gx.linear_schedule(0.5, 0.9, 4)
LOGITS = {"logits_fn": jax.tree_util.Partial(classes)}
VALUE = {"value": 1.5}
TWICE = gx.scale(2.0)
SIGNED = gx.chain(gx.scale_by_lion(), gx.scale(-1.0))


def variant(name, tx, reference, **more):
    """A row for its numbers alone."""
    return Row(name, tx, reference=reference, contracts=False, **more)


NUMBERS = [
    variant(
        "reduce_variance", gx.reduce_variance(0.5, 0.8, 3.0), of(M.reduce_variance, gamma=0.5, beta=0.8, max_norm=3.0)
    ),
    variant(
        "mars around adamw",
        gx.mars(gx.adamw(0.1, 0.8, weight_decay=0.1), 0.05, 0.8),
        of(M.mars_adamw, gamma=0.05, b1=0.8, rate=0.1, weight_decay=0.1),
    ),
    variant("grokfast", gx.grokfast(0.8, 3.0), of(M.grokfast, alpha=0.8, lamb=3.0)),
    variant("laprop", gx.laprop(0.1, 0.8, 0.95), of(R.laprop, learning_rate=0.1, b1=0.8, b2=0.95, eps=1e-15)),
    variant(
        "with_gradient_signs", gx.chain(gx.trace(0.8), gx.with_gradient_signs()), of(M.with_gradient_signs, decay=0.8)
    ),
    variant("grams", gx.grams(0.1, weight_decay=0.1), of(M.grams, rate=0.1, weight_decay=0.1)),
    variant(
        "scale_by_atan2_rms",
        gx.scale_by_atan2_rms(0.95, 2.0, 0.5),
        of(M.scale_by_atan2_rms, beta=0.95, scale=2.0, flatness=0.5),
    ),
    variant("adam_atan2", gx.adam_atan2(0.1, weight_decay=0.1), of(M.adam_atan2, rate=0.1, weight_decay=0.1)),
    variant(
        "add_corrected_decay",
        gx.add_corrected_decay(0.1, FALLING, 0.2),
        of(M.add_corrected_decay, rate=falling, top=0.2, weight_decay=0.1),
    ),
    variant("adamc", gx.adamc(FALLING, 0.1, weight_decay=0.1), of(M.adamc, rate=falling, top=0.1, weight_decay=0.1)),
    variant(
        "scale_by_stable_rms",
        gx.scale_by_stable_rms(0.95, weight_decay=0.1),
        of(M.stable_adamw, b1=0.0, b2=0.95, weight_decay=0.1),
    ),
    variant("stable_adamw", gx.stable_adamw(0.1), of(M.stable_adamw, rate=0.1)),
    variant("qhm", gx.qhm(0.1, 0.9, 0.6), of(M.qhm, rate=0.1, beta=0.9, nu=0.6)),
    variant(
        "mix_with_gradient",
        gx.chain(gx.scale_by_ewma(0.9), gx.mix_with_gradient(0.6)),
        of(M.qhm, rate=-1.0, beta=0.9, nu=0.6),
    ),
    variant("qhadam", gx.qhadam(0.1, nu2=0.8), of(M.qhadam, rate=0.1, nu2=0.8)),
    variant("scale_by_mixed_rms", gx.scale_by_mixed_rms(0.95, 0.7), of(M.scale_by_mixed_rms, beta=0.95, share=0.7)),
    variant("scale_by_pnm", gx.scale_by_pnm(0.8, 0.5), of(M.scale_by_pnm, beta=0.8, beta0=0.5)),
    variant("pnm", gx.pnm(0.1, 0.8, 0.5), of(M.pnm, rate=0.1, beta=0.8, beta0=0.5)),
    variant("adapnm", gx.adapnm(0.1), of(M.adapnm, rate=0.1)),
    variant(
        "remove_radial",
        gx.remove_radial(1.0, 0.1, 0.5),
        of(M.remove_radial, delta=1.0, weight_decay=0.1, ratio=0.5),
    ),
    variant(
        "adamp",
        gx.adamp(0.1, weight_decay=0.1, delta=0.7),
        of(M.adamp, rate=0.1, delta=0.7, weight_decay=0.1, ratio=0.1),
    ),
    variant(
        "sgdp",
        gx.sgdp(0.01, weight_decay=0.1, delta=0.7),
        of(M.sgdp, rate=0.01, delta=0.7, weight_decay=0.1, ratio=0.1),
    ),
    variant(
        "scale_by_bounded_rms",
        gx.scale_by_bounded_rms(0.0, 0.95, final_scale=1.0, gamma=0.5),
        of(M.scale_by_bounded_rms, b2=0.95, final=1.0, gamma=0.5),
    ),
    variant(
        "adabound",
        gx.adabound(0.1, final_scale=1.0, gamma=0.5),
        of(M.adabound, rate=0.1, final=1.0, gamma=0.5),
    ),
    variant("scale_by_change", gx.scale_by_change(), of(M.scale_by_change)),
    variant("diffgrad", gx.diffgrad(0.1), of(M.diffgrad, rate=0.1)),
    variant(
        "ftrl from a sum, of another power",
        gx.ftrl(0.1, -0.4, 0.1, 0.05, 0.02),
        of(M.ftrl, rate=0.1, power=-0.4, first=0.1, l1=0.05, l2=0.02),
    ),
    variant("lion_momentum", gx.lion_momentum(0.8, 0.95), of(M.lion_momentum, b1=0.8, b2=0.95)),
    variant("lengthen_to_average", gx.lengthen_to_average(0.8), of(M.lengthen, r=0.8)),
    variant("clip_spikes", gx.clip_spikes(0.9), of(M.clip_spikes, decay=0.9)),
    variant("steady_norm", gx.steady_norm(0.6, 0.8), of(M.steady_norm, b1=0.6, b2=0.8)),
    variant(
        "dadapt around lion",
        gx.dadapt(SIGNED, b2=0.99, estim_lr0=1e-3),
        functools.partial(M.dadapt, d0=1e-3, weighted=False),
    ),
    variant(
        "scale_by_adahessian",
        gx.scale_by_adahessian(hessian_power=0.5, update_interval=3, hessian_diagonal_fn=TWICE, spatial_axes=0),
        of(M.adahessian, power=0.5, every=3, axis=0),
    ),
]

MODERN = [
    *NUMBERS,
    Row("mars", gx.chain(gx.reduce_variance(), gx.mars(gx.lion(FALLING)))),
    Row("grokfast and laprop", gx.chain(gx.grokfast(), gx.laprop(0.1, weight_decay=0.1))),
    Row("with_gradient_signs and grams", gx.chain(gx.with_gradient_signs(), gx.grams(0.1))),
    Row("scale_by_atan2_rms and adam_atan2", gx.chain(gx.scale_by_atan2_rms(), gx.adam_atan2(0.1))),
    Row("add_corrected_decay and adamc", gx.chain(gx.add_corrected_decay(0.1, FALLING, 0.1), gx.adamc(FALLING, 0.1))),
    Row("stable_adamw and its link", gx.chain(gx.scale_by_stable_rms(eps=0.1), gx.stable_adamw(0.1))),
    Row(
        "quasi-hyperbolic links, qhm and qhadam",
        gx.chain(gx.mix_with_gradient(), gx.scale_by_mixed_rms(0.9, 0.5), gx.qhm(0.1), gx.qhadam(0.1)),
    ),
    Row("aggmo", gx.aggmo(0.1, (0.0, 0.8, 0.95)), reference=of(M.aggmo, rate=0.1, betas=(0.0, 0.8, 0.95))),
    Row("pnm and adapnm", gx.chain(gx.scale_by_pnm(), gx.pnm(0.1), gx.adapnm(0.1))),
    Row("remove_radial, adamp and sgdp", gx.chain(gx.remove_radial(), gx.adamp(0.1), gx.sgdp(0.1, weight_decay=0.1))),
    Row(
        "adabound and diffgrad",
        gx.chain(gx.scale_by_bounded_rms(), gx.adabound(0.1), gx.scale_by_change(), gx.diffgrad(0.1)),
    ),
    Row("ftrl", gx.ftrl(0.1, l1=0.05), reference=of(M.ftrl, rate=0.1, l1=0.05), tolerance=OF_PARAMS),
    Row("dadapt", gx.dadapt(gx.adam(1.0), estim_lr0=0.01)),
    Row(
        "dadapt_lion",
        gx.dadapt_lion(betas=(0.8, 0.95), estim_lr0=0.01, weight_decay=0.1, growth_rate=1.5),
        reference=functools.partial(M.dadapt, b1=0.8, b2=0.95, d0=0.01, weight_decay=0.1, growth=1.5),
    ),
    Row(
        "dadapt_sgd",
        gx.dadapt_sgd(estim_lr0=0.01),
        reference=functools.partial(M.dadapt_sgd, d0=0.01),
        tolerance=OF_PARAMS,
    ),
    Row(
        "dadapt_adagrad",
        gx.dadapt_adagrad(momentum=0.5, estim_lr0=0.01),
        reference=functools.partial(M.dadapt_adagrad, momentum=0.5, d0=0.01),
        tolerance=OF_PARAMS,
    ),
    Row(
        "dadapt_adan",
        gx.dadapt_adan(estim_lr0=0.01, weight_decay=0.1),
        reference=functools.partial(M.dadapt_adan, d0=0.01, weight_decay=0.1),
    ),
    Row(
        "links of norms and of lion",
        gx.chain(gx.clip_spikes(), gx.steady_norm(), gx.lengthen_to_average(), gx.lion_momentum(mu_dtype="bfloat16")),
    ),
    Row(
        "stable_spam",
        gx.stable_spam(0.5, weight_decay=0.1, update_interval=8),
        reference=of(M.stable_spam, rate=0.5, every=8, weight_decay=0.1),
    ),
    Row("restart", gx.restart(gx.adam(FALLING), 2)),
    Row("ranger", gx.ranger(0.1, sync_period=2), tolerance=OF_PARAMS),
    Row("schedule_free_radam", gx.schedule_free_radam(0.1, b2=0.9, weight_decay=0.1), tolerance=OF_PARAMS),
    Row("schedule_free_plus", gx.schedule_free_plus(gx.trace(0.5), 0.01, RISING), extra=VALUE, tolerance=OF_PARAMS),
    Row(
        "schedule_free_adamc",
        gx.schedule_free_adamc(0.1, weight_decay=0.1, r=1.0, polyak_decay=0.5, average_from=2),
        extra=VALUE,
        tolerance=OF_PARAMS,
    ),
    Row(
        "adahessian with labels that are drawn",
        gx.chain(
            gx.scale_by_adahessian(hessian_diagonal_fn=gx.gauss_newton_bartlett_diag_hessian(3)),
            gx.adahessian(0.1, hessian_diagonal_fn=TWICE),
        ),
        extra=LOGITS,
    ),
    variant(
        "adahessian",
        gx.adahessian(0.1, weight_decay=0.1, hessian_diagonal_fn=TWICE),
        of(M.adahessian, rate=0.1, weight_decay=0.1),
    ),
]
