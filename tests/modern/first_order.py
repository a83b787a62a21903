"""Rules of single numbers: what we have for the recorded optimizers, in their conventions.

Where these are not ours (the place of ε, the order of decay and step), the links say so in another order, or with
another number.
"""

import jax
import jax.numpy as jnp
import numpy as np

import gradtx as gx

RATE = gx.scale_by_learning_rate(0.001)
DECAY = gx.add_decayed_weights(0.01)
NADAM = gx.chain(gx.scale_by_ewma(0.9), gx.nesterov_momentum_decay(0.9, 0.01), gx.scale_by_rms(), DECAY, RATE)


def beside_the_raw_root(step):
    """ε of PyTorch's RAdam, which is added to the root before its correction."""
    return 1e-8 / jnp.sqrt(1 - 0.999 ** (jnp.asarray(step, float) + 1))


def lamb(*decay, shrunk):
    """LAMB without the correction of ν; the norm of the parameters is the one after their decay."""
    return gx.chain(
        gx.scale_by_ewma(0.9),
        gx.scale_by_rms(0.999, 1e-6, bias_correction=False),
        gx.scale_by_trust_ratio(0.0, shrunk, 1e-6),
        gx.bias_correction(0.9),
        *decay,
        RATE,
    )


def later_root(step):
    """The limit of ADOPT where its steps are counted from one more than in the paper."""
    return (step + 1) ** 0.25


def raw(eps, b2=0.999, *, root=0.0):
    """ε that is added to the root before its correction, and ε₀ inside of that root."""

    def at(size):
        return lambda step: size / jnp.sqrt(1 - b2 ** (jnp.asarray(step, float) + 1))

    def inside(step):
        return root / (1 - b2 ** (jnp.asarray(step, float) + 1))

    return {"eps": at(eps), "eps_root": inside}


def in_float32(of_t):
    """A factor that the recorded code rounds to float32, as a function of the step."""
    return gx.scale_by_schedule(lambda step: of_t(jnp.asarray(step, float) + 1).astype(jnp.float32).astype(float))


def from_the_sixth(step):
    """The rectification of steps at which ρₜ is 5 at least."""
    return jnp.where(step < 5, 0.0, gx.rectified_schedule(1.0)(step))


def weights_in_float32(beta, steps=40):
    """The decay of an average that is corrected as it goes, with weights that are summed in float32."""
    total, decays = np.float32(0), []
    for _ in range(steps):
        total = total * np.float32(beta) + np.float32(1)
        decays.append(1 - float(np.float32(1) / total))
    return lambda step: jnp.asarray(decays, float)[step]


def of_axes(params):
    """Matrices, and the rest."""
    return jax.tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", params)


def mars(*direction):
    """Variance reduction on matrices; on vectors Adam with a rate and decays of its own."""
    vectors = (gx.scale_by_ewma(0.9), gx.bias_correction(0.9), gx.scale_by_rms(0.95, **raw(1e-8, 0.95, root=1e-15)))
    return gx.partition(
        {
            "matrix": gx.mars(gx.chain(gx.scale_by_ewma(0.9), *direction, RATE), b1=0.9),
            "vector": gx.chain(*vectors, gx.add_decayed_weights(0.1), gx.scale_by_learning_rate(0.003)),
        },
        of_axes,
    )


def decayed_after(u, param):
    """The update after which parameters are decayed by αλ = 1e-5, from where they are then."""
    return u - 1e-5 * (param + u)


def of_the_paper(u, param):
    """LARS with the sum of two norms, which is not the norm of the sum."""
    ratio = 0.02 * jnp.linalg.norm(param) / (jnp.linalg.norm(u) + 0.01 * jnp.linalg.norm(param))
    return (u + 0.01 * param) * ratio


def is_matrix(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)


def slow(step):
    """√(1 − 0.95ᵗ) in float32, which the recorded code of Simplified AdEMAMix divides by where Adam multiplies."""
    return jnp.sqrt(1 - 0.95 ** (jnp.asarray(step, float) + 1)).astype(jnp.float32).astype(float)


LAPROP = (
    gx.scale_by_rms(**raw(1e-15, root=1e-15)),
    gx.scale_by_ewma(0.9),
    in_float32(lambda t: 1 / (1 - 0.9**t)),
    RATE,
)
ADAM = (gx.scale_by_ewma(0.9), gx.bias_correction(0.9))
AUTHORS = {"warmup_from": "one step"}

FIRST_ORDER = {
    "pytorch_optimizer.AdaBelief(lr=0.001, betas=[0.9, 0.999], rectify=False, weight_decay=0.01)": gx.chain(
        gx.scale_by_belief(), DECAY, RATE
    ),
    "torch.optim.Adafactor(lr=0.001, weight_decay=0.01)": gx.adafactor(0.001, 1, eps=0.0, weight_decay_rate=1e-5),
    "torch.optim.AdamW(lr=0.001, betas=[0.9, 0.999], amsgrad=True, weight_decay=0.01)": gx.chain(
        gx.scale_by_amsgrad(maximum="raw"), DECAY, RATE
    ),
    "torch.optim.Adamax(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01)": gx.chain(DECAY, gx.adamax(0.001)),
    "pytorch_optimizer.Adan(lr=0.001, weight_decay=0.01, weight_decouple=True)": gx.adan(
        0.001, eps_root=0.0, weight_decay=0.01
    ),
    "pytorch_optimizer.Fromage(lr=0.001)": gx.fromage(0.001, 0.0),
    "pytorch_optimizer.Lamb(lr=0.001, betas=[0.9, 0.999])": lamb(shrunk=1.0),
    "pytorch_optimizer.Lamb(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01)": lamb(DECAY, shrunk=1 - 1e-5),
    "torch.optim.NAdam(lr=0.001, betas=[0.9, 0.999], momentum_decay=0.01, weight_decay=0.01, "
    "decoupled_weight_decay=True)": NADAM,
    "pytorch_optimizer.NovoGrad(lr=0.001)": gx.novograd(0.001, 0.95, 0.98, 1e-8),
    "pytorch_optimizer.NovoGrad(lr=0.001, grad_averaging=True, weight_decay=0.01)": gx.chain(
        gx.scale_by_novograd(0.0, 0.98, weight_decay=0.01), gx.scale_by_ewma(0.95, initial="first"), RATE
    ),
    "torch.optim.RAdam(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01)": gx.chain(
        DECAY, gx.radam(0.001, eps=beside_the_raw_root)
    ),
    "torch.optim.RAdam(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, decoupled_weight_decay=True)": gx.chain(
        gx.scale_by_radam(eps=beside_the_raw_root), DECAY, RATE
    ),
    "pytorch_optimizer.SM3(lr=0.001)": gx.chain(gx.scale_by_sm3(0.0, eps=1e-30), RATE),
    "pytorch_optimizer.SignSGD(lr=0.001, momentum=0.9)": gx.signum(0.001),
    "pytorch_optimizer.Yogi(lr=0.001, betas=[0.9, 0.999])": gx.yogi(0.001),
    "pytorch_optimizer.AdEMAMix(lr=0.001, alpha=3.0)": gx.ademamix(0.001, alpha=3.0),
    "pytorch_optimizer.ADOPT(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, weight_decouple=True)": gx.chain(
        gx.scale_by_adopt(0.9, 0.999, clip_value_fn=later_root),
        gx.add_decayed_weights(0.01),
        gx.scale_by_learning_rate(0.001),
    ),
    "pytorch_optimizer.MADGRAD(lr=0.001, momentum=0.8)": gx.madgrad(0.001, 0.8),
    "pytorch_optimizer.Prodigy(lr=1.0, safeguard_warmup=True)": gx.prodigy(
        safeguard_warmup=True, bias_correction=False
    ),
    "pytorch_optimizer.Prodigy(lr=1.0, weight_decay=0.01)": gx.prodigy(weight_decay=0.01, bias_correction=False),
    "prodigyopt.Prodigy(lr=1.0, weight_decay=0.01, use_bias_correction=True)": gx.prodigy(weight_decay=0.01),
    "prodigyopt.Prodigy(lr=1.0, betas=[0.9, 0.999], d0=0.0001, growth_rate=1.2)": gx.prodigy(
        estim_lr0=0.0001, growth_rate=1.2, bias_correction=False
    ),
    "pytorch_optimizer.DAdaptAdam(lr=1.0)": gx.dadapt_adamw(bias_correction=False),
    "pytorch_optimizer.ScheduleFreeSGD(lr=0.001, momentum=0.8, warmup_steps=5)": gx.schedule_free_sgd(
        0.001, 5, 0.8, **AUTHORS
    ),
    "pytorch_optimizer.ScheduleFreeAdamW(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, warmup_steps=5)": (
        gx.schedule_free_adamw(0.001, 5, weight_decay=0.01, **AUTHORS)
    ),
    "schedulefree.SGDScheduleFree(lr=0.001, momentum=0.9, warmup_steps=4)": gx.schedule_free_sgd(0.001, 4, **AUTHORS),
    "schedulefree.AdamWScheduleFree(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, warmup_steps=4)": (
        gx.schedule_free_adamw(0.001, 4, weight_decay=0.01, **AUTHORS)
    ),
    "schedulefree.AdamWScheduleFree(lr=0.001, betas=[0.9, 0.999], r=1.0, weight_lr_power=1.0)": (
        gx.schedule_free_adamw(0.001, weight_lr_power=1.0, r=1.0)
    ),
    "pytorch_optimizer.LaProp(lr=0.001, betas=[0.9, 0.999])": gx.chain(*LAPROP),
    "pytorch_optimizer.LaProp(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, weight_decouple=True)": gx.chain(
        *LAPROP, gx.stateless_with_tree_map(decayed_after)
    ),
    "pytorch_optimizer.MARS(lr=0.001, betas=[0.9, 0.999], mars_type=adamw)": mars(
        gx.bias_correction(0.9), gx.scale_by_rms(**raw(1e-8, root=1e-15))
    ),
    "pytorch_optimizer.MARS(lr=0.001, betas=[0.9, 0.999], mars_type=lion)": mars(gx.scale_by_sign()),
    "pytorch_optimizer.Grams(lr=0.001, betas=[0.9, 0.999])": gx.grams(0.001),
    "pytorch_optimizer.StableAdamW(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, kahan_sum=False)": gx.stable_adamw(
        0.001, b2=0.999, weight_decay=0.01
    ),
    "pytorch_optimizer.GrokFastAdamW(lr=0.001, betas=[0.9, 0.999])": gx.chain(
        gx.grokfast(0.98, 2.0), *ADAM, gx.scale_by_rms(eps=0.0), gx.scale_by_learning_rate(0.001 / 3)
    ),
    "pytorch_optimizer.FTRL(lr=0.001, lr_power=-0.5, beta=0.1, lambda_1=0.01, lambda_2=0.02)": gx.ftrl(
        0.001, l1=0.01, l2=0.02, beta=0.1
    ),
    "pytorch_optimizer.QHAdam(lr=0.001, betas=[0.9, 0.999])": gx.chain(
        gx.scale_by_ewma(weights_in_float32(0.9)),
        gx.mix_with_gradient(1.0),
        gx.scale_by_rms(weights_in_float32(0.999), bias_correction=False),
        RATE,
    ),
    "pytorch_optimizer.QHM(lr=0.001)": gx.qhm(0.001, 0.0, 1.0),
    "pytorch_optimizer.AggMo(lr=0.001)": gx.aggmo(0.001),
    "pytorch_optimizer.AdaBound(lr=0.001, betas=[0.9, 0.999])": gx.chain(
        gx.scale_by_ewma(0.9), gx.scale_by_bounded_rms(eps_root=1e-15), RATE
    ),
    "pytorch_optimizer.AdamP(lr=0.001, betas=[0.9, 0.999])": gx.chain(
        *ADAM, gx.scale_by_rms(**raw(1e-8)), gx.remove_radial(axis=0), RATE
    ),
    "pytorch_optimizer.SGDP(lr=0.001, momentum=0.9)": gx.sgdp(0.001, axis=0),
    "pytorch_optimizer.PNM(lr=0.001)": gx.pnm(0.001),
    "pytorch_optimizer.AdaPNM(lr=0.001)": gx.adapnm(0.001, **raw(1e-8, root=1e-15)),
    "pytorch_optimizer.DiffGrad(lr=0.001)": gx.chain(
        *ADAM, gx.scale_by_change(), gx.scale_by_rms(**raw(1e-8, root=1e-15)), RATE
    ),
    "pytorch_optimizer.Tiger(lr=0.001)": gx.chain(gx.scale_by_ewma(0.965), gx.scale_by_sign(), DECAY, RATE),
    "pytorch_optimizer.AdamC(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01)": gx.adamc(
        0.001, 0.001, weight_decay=0.01, **raw(1e-8, root=1e-15)
    ),
    "pytorch_optimizer.LARS(lr=0.001, momentum=0.9, weight_decay=0.01, trust_coefficient=0.02)": gx.chain(
        gx.masked(gx.stateless_with_tree_map(of_the_paper), is_matrix), gx.trace(0.9), RATE
    ),
    "pytorch_optimizer.SimplifiedAdEMAMix(lr=0.001)": gx.chain(
        gx.scale_by_ewma(0.99),
        gx.scale_by_rms(0.95, eps=lambda step: 1e-8 * slow(step), bias_correction=False),
        gx.scale_by_schedule(lambda step: 1 / slow(step)),
        RATE,
    ),
    "pytorch_optimizer.AdaNorm(lr=0.001)": gx.chain(
        gx.lengthen_to_average(0.95), *ADAM, gx.scale_by_rms(0.99, **raw(1e-8, 0.99, root=1e-15)), RATE
    ),
    "pytorch_optimizer.StableSPAM(lr=0.001)": gx.stable_spam(0.001),
    "pytorch_optimizer.Ranger(lr=0.001)": gx.lookahead(
        gx.chain(
            gx.centralize(),
            gx.scale_by_ewma(0.95),
            gx.bias_correction(0.95),
            gx.scale_by_rectified_rms(**raw(1e-5)),
            gx.scale_by_schedule(lambda step: jnp.where(step < 5, -1.0, 1.0)),  # it ascends until it is rectified
            RATE,
        ),
        6,
    ),
    "pytorch_optimizer.AdaBelief(lr=0.001, betas=[0.9, 0.999], rectify=True)": gx.chain(
        gx.fork(
            jnp.add,
            gx.chain(
                gx.scale_by_belief(eps=lambda step: 1e-8 * beside_the_raw_root(step)),
                gx.scale_by_schedule(from_the_sixth),
            ),
            gx.chain(*ADAM, gx.scale_by_schedule(lambda step: jnp.where(step < 5, 1.0, 0.0))),
        ),
        RATE,
    ),
}
