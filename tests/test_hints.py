"""Errors that say what to write instead."""

import re

import optax
import pytest

import gradtx
from gradtx import TransformationError, adam, adamw, chain, clip, scale, sgd, transformation
from gradtx._value.call import Call
from gradtx._value.hints import ANOTHER, OPTAX, SPELLED, TYPES


@transformation
def without_link(inner, learning_rate=0.1):
    return chain(inner, scale(learning_rate))


@transformation
def with_betas(betas):
    return scale(betas[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: adam(1e-3, nesterov=True), "adam: no argument 'nesterov' (that is gradtx.nadam)"),
        (lambda: adam(1e-3, betas=(0.9, 0.99)), "adam: no argument 'betas' (write b1=..., b2=...)"),
        (lambda: adam(1e-3, weight_decay=0.1), "adam: no argument 'weight_decay' (that is gradtx.adamw)"),
        (lambda: adam(1e-3, amsgrad=True), "adam: no argument 'amsgrad' (that is gradtx.amsgrad)"),
        (lambda: adam(lr=1e-3), "adam: no argument 'lr' (did you mean 'learning_rate'?)"),
        (lambda: adam(1e-3, epsilon=1e-6), "adam: no argument 'epsilon' (write eps=...)"),
        (lambda: sgd(1e-3, nesterof=True), "sgd: no argument 'nesterof' (did you mean 'nesterov'?)"),
        (lambda: sgd(1e-3, beta1=0.9), "sgd: no argument 'beta1'; it takes sgd("),
        (
            lambda: chain(clip(1.0), adamw(0.1)).replace(learning_rate=0.2),
            "chain: it has no 'learning_rate' (did you mean 'adamw.learning_rate'?); it has clip, adamw",
        ),
        (
            lambda: chain(adam(0.1), chain(a=sgd(0.1))).replace(learning_rate=0.2),
            "(did you mean 'adam.learning_rate' or 'a.learning_rate'?)",
        ),
        (lambda: chain([clip(1.0), adam(0.1)]), "chain: expected a transformation, found a list: write chain(*links)"),
        (lambda: chain((clip(1.0),)), "chain: expected a transformation, found a tuple: write chain(*links)"),
        (lambda: chain(tx for tx in [clip(1.0)]), "found a generator: write chain(*links)"),
        (lambda: chain(adam), "call it: adam(...)"),
        (
            lambda: without_link(adam(0.1)),
            "without_link: inner: expected a number, found the transformation adam(learning_rate=0.1, b1=0.9, b2=0.999,"
            " eps=1e-08, eps_root=0.0); a parameter that takes one is annotated gradtx.Link",
        ),
        (lambda: without_link(optax.adam(0.1)), "a parameter that takes one is annotated gradtx.Link"),
        (
            lambda: with_betas((0.9, 0.99)),
            "found (0.9, 0.99); a parameter that takes several is annotated gradtx.Numbers; for one after the other, "
            "gradtx.sweep.grid",
        ),
    ],
)
def test_an_error_says_what_to_write(make, words):
    with pytest.raises(TransformationError, match=re.escape(words)):
        make()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tree_utils", "'gradtx' has no attribute 'tree_utils': Optax's tree_utils is tree here"),
        ("ScaleByAdamState", "'gradtx' has no attribute 'ScaleByAdamState': a type of Optax: gradtx.optax has it"),
        ("adamm", "module 'gradtx' has no attribute 'adamm' (did you mean 'adam'?)"),
    ],
)
def test_the_module_knows_the_names_of_optax(name, words):
    with pytest.raises(AttributeError, match=re.escape(words)) as found:
        getattr(gradtx, name)
    assert found.value.name == name
    assert not hasattr(gradtx, name)


def test_hints_name_what_there_is():
    for words in [*OPTAX.values(), *ANOTHER.values()]:
        first = re.match(r"(gradtx\.)?(\w+)", words)
        assert first is not None
        assert first[0] == "gradtx" or hasattr(gradtx, first[2])
    assert [name for name in [*OPTAX, *TYPES] if hasattr(gradtx, name) or not hasattr(optax, name)] == []
    calls = {name: getattr(getattr(gradtx, name), "call", None) for name in gradtx.__all__}
    takes = {argument for call in calls.values() if isinstance(call, Call) for argument in call.parameters}
    assert {name for names in SPELLED.values() for name in names} <= takes
    for name, argument in ANOTHER:
        assert argument not in calls[name].parameters
