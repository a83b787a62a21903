"""Rules of single numbers: what we have for the recorded optimizers, in their conventions.

Where these are not ours (the place of ε, the order of decay and step), the links say so in another order, or with
another number.
"""

import jax.numpy as jnp

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
}
