"""The picture of the README, ``docs/readme.png``: what ``python -m gradtx sweep digits`` trains.

``python docs/make/readme_picture.py``
"""

from pathlib import Path

import gradtx
from gradtx import plot
from gradtx._cli.asked import B1, RATES
from gradtx._cli.problems import digits

FILE = Path(__file__).parent.parent / "readme.png"


def draw():
    """Learning curves of 128 Adams, and the accuracy of each on images that were not trained on."""
    problem = digits(0)
    population = gradtx.sweep.grid(gradtx.adam, learning_rate=RATES, b1=B1)
    result = gradtx.sweep.run(
        problem.loss,
        problem.params,
        population,
        problem.data,
        steps=500,
        batch_size=64,
        evaluate=problem.evaluate,
        metric="held_out_accuracy",
        better="higher",
        progress=False,
    )
    return plot.sweep(result)


if __name__ == "__main__":
    draw().savefig(FILE, dpi=110)
