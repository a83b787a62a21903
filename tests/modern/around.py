"""Wrappers around other rules: averages, estimates of distance; in the conventions of what was recorded."""

import gradtx as gx

AROUND = {
    "pytorch_optimizer.DAdaptAdaGrad(lr=1.0)": gx.dadapt_adagrad(),
    "pytorch_optimizer.DAdaptLion(lr=1.0)": gx.dadapt_lion(betas=(0.9, 0.999)),
}
