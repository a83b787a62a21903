"""Random transformations are what an interpreter in float64 says; and the fuzz finds what is put there to be found."""

import jax.numpy as jnp
import pytest
from hypothesis import strategies as st

import gradtx as gx
from tests.fuzz import C, Case, Leaf, build, replay
from tests.fuzz.run import fuzz

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(3))
def test_random_transformations_are_the_interpreters(seed):
    log = fuzz(many=40, start=seed)
    assert not log.failures, "\n\n".join(map(str, log.failures))
    assert log.said > 0.5 * log.steps  # the bounds are no excuse


def test_a_case_prints_as_the_call_that_makes_it_again():
    adam = C("adam", learning_rate=C("function", of="falling"))
    case = Case(C("chain", C("clip", max_delta=1.0), named=adam), [Leaf((3,), "float32")], ("normal",))
    assert eval(repr(case), {"C": C, "Case": Case, "Leaf": Leaf}) == case
    assert replay(case) == 1


# What is put there to be found ----------------------------------------------------------------------------------------


@gx.transformation
def bias_correction(decay: gx.Decay = 0.9):
    """The correction with a count that is one ahead."""
    return gx.per_leaf(lambda u, *, t: u / (1 - decay ** (t + 1)))


@gx.transformation
def own_clock(inner: gx.Link):
    """A clock that stands still."""

    def update(step, updates, state):
        made, after = step(updates, t=jnp.ones([], jnp.int32))
        return made, {"inner": after}

    return gx.around(inner, update, packs=True)


def deaf(*links, **named):
    """A chain whose links see what the link before them made, in place of the gradient."""
    return gx.chain(*(gx.own_clock(link) for link in links), **{key: gx.own_clock(x) for key, x in named.items()})


def small(names):
    """Cases of a few links that are sure to have what is broken."""
    number = st.sampled_from([0.5, 0.9])
    links = {
        "bias_correction": st.builds(lambda b: C("bias_correction", decay=b), number),
        "clip": st.just(C("clip", max_delta=0.1)),
        "scale_by_ewma": st.builds(lambda b: C("scale_by_ewma", decay=b), number),
        "scale_by_rms": st.builds(lambda b: C("scale_by_rms", decay=b), number),
    }
    chain = st.lists(st.sampled_from(sorted(names)).flatmap(links.get), min_size=1, max_size=4)
    return chain.map(lambda x: Case(C("chain", *x), {"w": Leaf((3,), "float64")}, ("normal", "large", "normal"), 1))


def found(monkeypatch, name, broken, draw):
    """What the fuzz finds when the factory of a name is another."""
    instead = {name: broken}

    class Broken:
        def __getattr__(self, asked):
            return instead.get(asked) or getattr(gx, asked)

    monkeypatch.setattr(build, "gx", Broken())
    monkeypatch.setitem(build.NAMESPACE, getattr(broken, "__name__", name), broken)
    return [failure for failure in fuzz(many=80, draw=draw).failures if failure.kind == "update"]


def test_it_finds_a_wrong_correction_and_shrinks_it_to_the_one_link(monkeypatch):
    draw = small({"bias_correction", "clip", "scale_by_ewma"})
    (failure,) = found(monkeypatch, "bias_correction", bias_correction, draw)
    assert failure.case.tx.names() == ["chain", "bias_correction"]


def test_it_finds_a_chain_whose_conditioning_is_dropped(monkeypatch):
    failures = found(monkeypatch, "chain", deaf, small({"clip", "scale_by_ewma", "scale_by_rms"}))
    assert ["chain", "scale_by_ewma", "scale_by_rms"] in [failure.case.tx.names() for failure in failures]


def test_it_finds_a_wrapper_whose_clock_is_wrong(monkeypatch):
    draw = st.sampled_from([1, 2, 3]).flatmap(
        lambda n: st.just(Case(C("own_clock", C("adam", learning_rate=0.1)), Leaf((2,), "float64"), ("normal",) * n))
    )
    failures = found(monkeypatch, "own_clock", own_clock, draw)
    assert [len(failure.case.steps) for failure in failures] == [2]  # the second step is the first that is wrong
