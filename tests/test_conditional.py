"""The inner step runs only where it is due: a condition in the program, and no more work on the way that waits."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxpr_as_fun

import gradtx as gx
from gradtx import tree

N = 1000
PARAMS = {"w": jnp.ones((N // 10, 10)), "b": jnp.ones(N)}
NUMBERS = 2 * N
RATE = gx.linear_schedule(0.1, 0.02, 8)
WRAPPED = {
    "accumulate": gx.accumulate(gx.adam(RATE), 4),
    "guard": gx.guard_nonfinite(gx.adam(RATE)),
    "rollback": gx.guard_nonfinite(gx.adam(RATE), policy="rollback"),
    "guard around accumulate": gx.guard_nonfinite(gx.accumulate(gx.adam(RATE), 4)),
    "in a chain and a mask": gx.chain(gx.clip(1.0), gx.masked(gx.accumulate(gx.adam(RATE), 4), "w")),
}


def program(tx):
    return jax.make_jaxpr(tx.update)(PARAMS, tx.init(PARAMS), PARAMS).jaxpr


def inner_programs(equation):
    """The programs that an equation calls: of a condition its branches, of a jit its body."""
    for x in equation.params.values():
        for part in x if isinstance(x, tuple | list) else (x,):
            if hasattr(part, "jaxpr") or hasattr(part, "eqns"):
                yield getattr(part, "jaxpr", part)


def roots(jaxpr, *, inside):
    """How many square roots, which only the inner step takes: in branches of a condition, or outside of any."""
    total = 0
    for equation in jaxpr.eqns:
        conditional = equation.primitive.name == "cond"
        if equation.primitive.name == "sqrt":
            total += not inside
        for body in inner_programs(equation):
            total += roots(body, inside=inside and not conditional)
    return total


def outside_of_conditions(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        if equation.primitive.name != "cond":
            for body in inner_programs(equation):
                yield from outside_of_conditions(body)


def conditions(jaxpr):
    return [e for e in outside_of_conditions(jaxpr) if e.primitive.name == "cond"]


def work(jaxpr, way):
    """How many numbers are computed on a way: the one with the least work where ``way`` is min, the most where max."""
    total = 0
    for equation in jaxpr.eqns:
        bodies = [work(body, way) for body in inner_programs(equation)]
        if equation.primitive.name == "cond":
            total += way(bodies)
        elif bodies:
            total += sum(bodies)
        elif equation.primitive.name not in ("broadcast_in_dim", "convert_element_type", "reshape", "copy"):
            total += sum(math.prod(x.aval.shape) for x in equation.outvars)
    return total


@pytest.mark.parametrize("name", WRAPPED)
def test_the_inner_step_stands_in_one_branch_of_a_condition_and_nowhere_else(name):
    jaxpr = program(WRAPPED[name])
    outside = [equation.primitive.name for equation in outside_of_conditions(jaxpr)]
    assert outside.count("cond") == 1
    assert "sqrt" not in outside
    large = [e for e in outside_of_conditions(jaxpr) if e.primitive.name == "select_n" and e.outvars[0].aval.size >= N]
    assert large == []
    (condition,) = conditions(jaxpr)
    taken = [roots(branch.jaxpr, inside=False) for branch in condition.params["branches"]]
    assert sorted(taken)[0] == 0
    assert sorted(taken)[1] > 0


@pytest.mark.parametrize("name", WRAPPED)
def test_the_condition_is_still_there_when_it_is_compiled(name):
    tx = WRAPPED[name]
    text = jax.jit(tx.update).lower(PARAMS, tx.init(PARAMS), PARAMS).compile().as_text()
    bodies = {m[1]: m[0] for m in re.finditer(r"^(?:ENTRY )?%?([\w.-]+) [^\n]*{\n.*?^}", text, re.M | re.S)}
    assert " conditional(" in text

    def reached(name, seen):
        """The computations that run whenever this one does."""
        if name not in seen:
            seen.add(name)
            for line in bodies[name].splitlines():
                if " conditional(" not in line:
                    for other in re.findall(r"(?:calls|to_apply|body|condition)=%?([\w.-]+)", line):
                        reached(other, seen)
        return seen

    entry = re.search(r"^ENTRY %?([\w.-]+)", text, re.M)[1]
    always = reached(entry, set())
    assert not any(" sqrt(" in bodies[name] for name in always)
    assert any(" sqrt(" in bodies[name] for name in bodies.keys() - always)


def test_waiting_costs_the_mean_alone_and_a_skip_the_test_alone():
    plain = work(program(gx.adam(RATE)), max) / NUMBERS
    costs = {name: (work(program(tx), min) / NUMBERS, work(program(tx), max) / NUMBERS) for name, tx in WRAPPED.items()}
    assert plain > 10
    assert costs["accumulate"][0] < 3.1  # a subtraction, a quotient, a sum
    assert costs["guard"][0] < 1.1  # is it finite?
    assert costs["rollback"][0] < 2.1  # and the way back
    assert costs["accumulate"][1] < plain + 3.1
    assert costs["guard"][1] < plain + 1.1


def test_flops_of_the_compiled_branch_that_waits_are_none():
    tx = WRAPPED["accumulate"]
    (condition,) = conditions(program(tx))
    flops = []
    for branch in condition.params["branches"]:
        avals = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in branch.in_avals]
        compiled = jax.jit(jaxpr_as_fun(branch)).lower(*avals).compile()
        flops.append(compiled.cost_analysis().get("flops", 0.0) / NUMBERS)
    assert min(flops) < 0.01
    assert max(flops) > 8


# Under vmap -----------------------------------------------------------------------------------------------------------


def test_a_sweep_of_rates_waits_as_one_and_a_sweep_of_paces_computes_both_ways():
    def update(rate, every):
        tx = gx.accumulate(gx.adam(rate), every)
        return tx.update(PARAMS, tx.init(PARAMS), PARAMS)

    lanes = jnp.array([0.1, 0.2])
    of_rates = jax.make_jaxpr(jax.vmap(update, (0, None)))(lanes, 4.0)
    of_paces = jax.make_jaxpr(jax.vmap(update, (None, 0)))(0.1, jnp.array([1.0, 4.0]))
    assert [len(conditions(program.jaxpr)) for program in (of_rates, of_paces)] == [1, 0]
    found, _ = jax.vmap(update, (None, 0))(0.1, jnp.array([1.0, 4.0]))
    assert np.all(np.asarray(found["b"][0]) < 0)
    assert not np.any(np.asarray(found["b"][1]))


def test_a_guard_of_lanes_computes_both_ways_and_takes_what_is_right():
    tx = gx.guard_nonfinite(gx.adam(0.1))
    gradients = tree.map(lambda x: jnp.stack([x, x * jnp.nan]), PARAMS)
    state = tx.init(PARAMS)
    jaxpr = jax.make_jaxpr(jax.vmap(lambda g: tx.update(g, state, PARAMS)))(gradients).jaxpr
    assert conditions(jaxpr) == []
    updates, after = jax.vmap(lambda g: tx.update(g, state, PARAMS))(gradients)
    assert after["skipped"].tolist() == [0, 1]
    assert after["inner"]["count"].tolist() == [1, 0]
    assert np.isfinite(np.asarray(updates["b"])).all()
    assert not np.asarray(updates["b"][1]).any()
