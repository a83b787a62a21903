"""What the command line says of a file whose function returns what cannot be, and what it takes besides."""

import pytest

import gradtx
from gradtx.__main__ import main
from gradtx._cli import own_problems

NAMED = """
import jax
import jax.numpy as jnp

data = jnp.ones((10, 3))

def loss(params, batch, l2):
    return jnp.mean((batch @ params) ** 2) + l2 * jnp.sum(params**2)

def key():
    return (lambda params, batch, key: loss(params, batch, 0.0) + jax.random.normal(key)), jnp.ones(3), data

def ok():
    return loss, jnp.ones(3), data

def vector():
    return (lambda params, batch: batch @ params), jnp.ones(3), data

def number():
    return loss, jnp.ones(3), data, lambda params: jnp.sum(params)

def stream():
    return loss, jnp.ones(3), iter([1])

def floats():
    return loss, jnp.ones(3), data, lambda params: {"error": float(jnp.sum(params))}
"""


def test_a_loss_may_take_a_key_and_numbers_without_a_default(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gradtx.plot, "save_sweep", lambda *args, **more: [])
    (tmp_path / "own.py").write_text(NAMED)
    monkeypatch.chdir(tmp_path)
    for words in ("own.py:key", "own.py:ok --grid l2=0,0.5"):
        main(["sweep", *words.split(), "--optimizer", "sgd(0.01)", "--steps", "2", "--batch-size", "5"])
        assert f"{words.split()[0]}: 10 rows to train on, 3 parameters" in capsys.readouterr().out  # and no emoji
    with pytest.raises(SystemExit):
        main(["sweep", "own.py:ok", "--optimizer", "sgd(0.01)"])
    assert "the loss takes l2, which has no default: say --grid l2=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own.py", "say which function: .*own.py:key"),
        ("own.py:vector", r"one real number, found float32\[10\]"),
        ("own.py:number", r"names to numbers, found float32\[\]"),
        ("own.py:stream", "data: expected arrays, found a list_iterator"),
        ("own.py:floats", r"own.py, line 26: \w+: it is compiled, so if, float\(\) and NumPy cannot be used"),
    ],
)
def test_what_a_file_returns_that_cannot_be_is_named(name, said, tmp_path):
    (tmp_path / "own.py").write_text(NAMED)
    with pytest.raises(gradtx.TransformationError, match=said):
        own_problems.own_problem(str(tmp_path / name), 0)
