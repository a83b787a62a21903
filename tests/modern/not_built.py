"""Recorded optimizers that gradtx does not have, and why."""

NOT_BUILT = {
    "pytorch_optimizer.MARS(lr=0.001, betas=[0.9, 0.999], mars_type=shampoo)": (
        "mars(muon(...)), but recorded with Newton-Schulz in bfloat16: out of reach of 1e-10"
    ),
    "pytorch_optimizer.Adalite(lr=0.001)": "of one training library, without a paper",
    "pytorch_optimizer.AvaGrad(lr=0.001)": "of one paper: neither Optax nor PyTorch nor Keras has it",
    "pytorch_optimizer.VSGD(lr=0.001)": "of one paper: neither Optax nor PyTorch nor Keras has it",
    "pytorch_optimizer.AdamS(lr=0.001)": (
        "of one paper; its decay needs the mean of all second moments, which no link gives out"
    ),
    "pytorch_optimizer.RACS(lr=0.001)": "of one paper: neither Optax nor PyTorch nor Keras has it",
    "pytorch_optimizer.SPAM(lr=0.001)": (
        "its warm-up is a scheduler of PyTorch, driven by hand; its successor is built, stable_spam"
    ),
    "pytorch_optimizer.SPlus(lr=0.001, inverse_every=2)": (
        "built; but the recorded bases are those of singular matrices, in float32: two of their vectors are "
        "rounding; tests/test_preconditioners.py compares what is not"
    ),
    "pytorch_optimizer.SCION(lr=0.001, momentum=0.1)": (
        "built: it makes matrices orthogonal in bfloat16, so tests/test_muon_family.py compares it otherwise"
    ),
    "pytorch_optimizer.SCIONLight(lr=0.001, momentum=0.1)": (
        "built: it makes matrices orthogonal in bfloat16, so tests/test_muon_family.py compares it otherwise"
    ),
    "pytorch_optimizer.Muon(lr=0.02)": (
        "built: it makes matrices orthogonal in bfloat16, so tests/test_muon_family.py compares it otherwise"
    ),
    "pytorch_optimizer.NorMuon(lr=0.02)": (
        "built: it makes matrices orthogonal in bfloat16, so tests/test_muon_family.py compares it otherwise"
    ),
    "pytorch_optimizer.AdaMuon(lr=0.02)": (
        "built: it makes matrices orthogonal in bfloat16, so tests/test_muon_family.py compares it otherwise"
    ),
    "pytorch_optimizer.AdaGO(lr=0.02)": (
        "built: it makes matrices orthogonal in bfloat16, so tests/test_muon_family.py compares it otherwise"
    ),
    "pytorch_optimizer.DAdaptSGD(lr=1.0)": (
        "dadapt_sgd, but for the float32 sums of that code: to 4e-8 (test_modern.py)"
    ),
    "pytorch_optimizer.AdaGC(lr=0.001)": "for 100 steps clip_by_global_norm, of a norm in float32: to 5e-10",
    "pytorch_optimizer.FOCUS(lr=0.001)": "its first step is the sign of a difference that is 0 but for rounding",
}
