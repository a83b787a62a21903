"""By which column lanes are ranked, and which way is better: told, or known by the name of the column."""

import re
from collections.abc import Sequence
from typing import Any

from gradtx._value.errors import TransformationError, suggest

HIGHER = {
    "accuracy", "acc", "r2", "auc", "auroc", "auprc", "f1", "precision", "recall", "sensitivity", "specificity",
    "success", "reward", "return", "bleu", "rouge", "iou", "dice", "map", "psnr", "ssim", "mcc", "kappa",
    "likelihood", "elbo", "correlation", "pearson", "spearman", "hits", "win", "wins",
}  # fmt: skip
LOWER = {
    "loss", "losses", "error", "errors", "err", "mse", "rmse", "mae", "mape", "rmsle", "nll", "perplexity", "ppl",
    "entropy", "xent", "ce", "bce", "brier", "deviance", "divergence", "kl", "fid", "wer", "cer", "bpb", "bpc", "bpd",
    "regret", "cost", "residual", "residuals", "failure", "failures",
}  # fmt: skip
NEGATED = {"neg", "negative", "minus"}


def direction_of(name: str) -> str | None:
    """Whether a ``"higher"`` or a ``"lower"`` value is better, by the words in a name; None where they do not say.

    >>> direction_of("held_out_accuracy"), direction_of("valLoss"), direction_of("negative_log_likelihood")
    ('higher', 'lower', 'lower')
    >>> direction_of("size"), direction_of("loss_accuracy_gap")
    (None, None)
    """
    words = re.findall(r"[a-z]+\d*", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    up, down = (any(word in known for word in words) for known in (HIGHER, LOWER))
    if up == down:
        return None
    return "higher" if up != any(word in NEGATED for word in words) else "lower"


def ranking(who: str, metrics: Sequence[str], metric: Any = None, better: Any = None) -> tuple[str, str]:
    """The column that ranks lanes and its direction; what is not given is worked out.

    The column is the first of ``metrics``, those that ``evaluate`` returns, or else the final loss.

    Raises `TransformationError`: there is no such column; its name does not say which way is better.
    """
    known = ["final_loss", *metrics]
    if metric is not None and metric not in known:
        hint = suggest(metric, known) if isinstance(metric, str) else ""
        raise TransformationError(f"{who}: metric: expected one of {', '.join(known)}, found {metric!r}{hint}")
    if better not in (None, "lower", "higher"):
        raise TransformationError(f"{who}: better: expected 'lower' or 'higher', found {better!r}")
    asked, metric = metric, metric or [*metrics, "final_loss"][0]
    better = better or direction_of(metric)
    if better is None:
        first = "" if asked else ", the first number that evaluate returns,"
        raise TransformationError(
            f"{who}: better: lanes are ranked by {metric!r}{first} and the name does not say which way: give "
            f"better='higher' or better='lower'{'' if asked else ', or another metric, such as final_loss'}"
        )
    return metric, better
