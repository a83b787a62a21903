"""Every example in a docstring runs, and comes out as it is printed there."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest

import gradtx

MODULES = ["gradtx", *(module.name for module in pkgutil.walk_packages(gradtx.__path__, "gradtx."))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_of(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"jax": jax, "jnp": jnp}, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
