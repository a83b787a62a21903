"""Wrappers around other rules: averages, estimates of distance; in the conventions of what was recorded."""

import gradtx as gx

AROUND = {
    "pytorch_optimizer.DAdaptAdaGrad(lr=1.0)": gx.dadapt_adagrad(),
    "pytorch_optimizer.DAdaptLion(lr=1.0)": gx.dadapt_lion(betas=(0.9, 0.999)),
    "pytorch_optimizer.ScheduleFreeRAdam(lr=0.001, betas=[0.9, 0.999])": gx.schedule_free_radam(0.001),
    "schedulefree.RAdamScheduleFree(lr=0.001, betas=[0.9, 0.999])": gx.schedule_free_radam(0.001),
}
