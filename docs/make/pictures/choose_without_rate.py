"""Digits: what becomes of an optimizer whose rate is off by a factor, from what it is by default."""

import numpy as np
from matplotlib.figure import Figure

import gradtx
from gradtx._cli.problems import digits
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES

STEPS = 300
USUAL = {  # what multiplies the factor
    "Adam, 0.001": gradtx.adam(1e-3),
    "SGD, 0.1": gradtx.sgd(0.1),
    "Prodigy, 1": gradtx.prodigy(1.0),
    "DoWG, 1": gradtx.dowg(1.0),
    "COCOB": gradtx.cocob(1.0),
    "Mechanic of SGD, 0.1": gradtx.mechanize(gradtx.sgd(0.1)),
}


def draw() -> Figure:
    """The training loss at the end, over factors from 0.001 to 1,000."""
    problem, factors = digits(hidden=(32,)), np.geomspace(1e-3, 1e3, 13)
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.9), layout="constrained")
        for (name, tx), dash in zip(USUAL.items(), DASHES, strict=True):
            where = next(n for n in gradtx.hyperparameters(tx) if n.endswith("learning_rate"))
            usual = gradtx.hyperparameters(tx)[where]
            lanes = gradtx.sweep.stack([tx.replace({where: usual * float(factor)}) for factor in factors])
            run = gradtx.sweep.run(
                problem.loss, problem.params, lanes, problem.data, steps=STEPS, batch_size=32, progress=False
            )
            ax.plot(factors, np.minimum(np.nan_to_num(run.final_loss, nan=1e3), 1e3), label=name, ls=dash, lw=1.6)
        ax.set(xscale="log", yscale="log", xlabel="times the usual rate", ylabel="training loss", ylim=(1e-4, 20))
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
