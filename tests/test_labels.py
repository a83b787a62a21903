"""Which leaves a rule chooses: what is a tree of labels and what is a mapping from patterns, told by what it is."""

import types
from collections import OrderedDict
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradtx import TransformationError, adamw, add_decayed_weights, masked, partition, scale, sgd, tree


@jax.tree_util.register_dataclass
@dataclass
class Linear:
    """A module as Equinox and Flax make them: a registered dataclass that can be called."""

    w: jax.Array
    b: jax.Array

    def __call__(self, x):
        return x @ self.w + self.b


def linear():
    return Linear(jnp.ones((2, 2)), jnp.ones(2))


def matrices(params):
    return jax.tree.map(lambda x: x.ndim > 1, params)


NET = {"enc": linear(), "dec": linear()}
BY_PATH = {"*.w": True, "*": False}
CHOSEN = {"enc": Linear(True, False), "dec": Linear(True, False)}


@pytest.mark.parametrize(
    "mask", [matrices, CHOSEN, "*.w", {"*.w": True, "*": False}, lambda p: {"*.w": True, "*": False}]
)
def test_masks_of_modules(mask):
    assert tree.mask(mask, NET) == CHOSEN
    ours, theirs = adamw(0.1, mask=mask), optax.adamw(0.1, mask=matrices)
    with jax.numpy_dtype_promotion("standard"):
        mine, yours = (tx.update(NET, tx.init(NET), NET)[0] for tx in (ours, theirs))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), mine, yours)


@pytest.mark.parametrize("mask", [matrices, Linear(True, False), "w"])
def test_a_module_that_can_be_called_is_a_tree(mask):
    assert tree.mask(mask, linear()) == Linear(True, False)
    tx = masked(scale(2.0), mask)
    assert float(tx.update(linear(), tx.init(linear()))[0].w[0, 0]) == 2.0


def test_labels_of_modules():
    labels = {"enc": Linear("a", "b"), "dec": Linear("a", "b")}
    for rule in (labels, lambda p: labels, {"*.w": "a", "*": "b"}):
        assert tree.labels(rule, NET) == labels
        tx = partition({"a": scale(2.0), "b": scale(3.0)}, rule)
        updates, _ = tx.update(NET, tx.init(NET), NET)
        assert (float(updates["enc"].w[0, 0]), float(updates["dec"].b[0])) == (2.0, 3.0)
    by_branch = {"enc": Linear("a", "a"), "dec": Linear("b", "b")}
    for prefix in ({"enc": "a", "dec": "b"}, {"enc": Linear("a", "a"), "dec": "b"}, {"enc": "a", "*": "b"}):
        assert tree.labels(prefix, NET) == by_branch
        assert tree.labels(lambda _, prefix=prefix: prefix, NET) == by_branch


KEYS = {"w[0]": 1.0, "w*": 2.0, "wx": 3.0, "a.b": 4.0}


@pytest.mark.parametrize("kind", [dict, OrderedDict, types.MappingProxyType])
def test_keys_with_signs_of_patterns_are_keys(kind):
    labels = {"w[0]": "a", "w*": "b", "wx": "c", "a.b": "d"}
    assert dict(tree.labels(kind(labels), KEYS)) == labels
    assert tree.labels({"w*": "b", "*": "c"}, KEYS) == {"w[0]": "c", "w*": "b", "wx": "c", "a.b": "c"}
    assert tree.labels({"w[0]": "a", "w?": "c", "*": "d"}, KEYS) == {"w[0]": "a", "w*": "c", "wx": "c", "a.b": "d"}
    assert tree.mask("w[0]", KEYS) == {"w[0]": True, "w*": False, "wx": False, "a.b": False}
    assert tree.mask(["w[xy]", "a.b"], KEYS) == {"w[0]": False, "w*": False, "wx": True, "a.b": True}


def test_prefixes_with_nothing_under_them():
    assert tree.labels({"a": "x", "empty": "y"}, {"a": 1.0, "empty": {}}) == {"a": "x", "empty": {}}
    assert tree.labels({"a": "x", "b": None}, {"a": 1.0, "b": None}) == {"a": "x", "b": None}
    with pytest.raises(TransformationError, match="'c' matches no leaf"):
        tree.labels({"a": "x", "c": "y"}, {"a": 1.0})
    with pytest.raises(TransformationError, match=r"leaf enc\.b: expected a label, found none|leaf b"):
        tree.labels({"enc": {"w": "x"}}, {"enc": {"w": 1.0, "b": 1.0}})


def test_trees_of_modules_are_structure():
    assert adamw(0.1, mask=CHOSEN) == adamw(0.1, mask={"enc": Linear(True, False), "dec": Linear(True, False)})
    assert masked(sgd(0.1), Linear(True, False)) != masked(sgd(0.1), Linear(True, True))
    assert add_decayed_weights(0.1, mask=CHOSEN) == add_decayed_weights(0.1, mask=CHOSEN)
