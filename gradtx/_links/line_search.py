"""Line searches: how far to go along the update, so that the objective falls enough.

On the line the objective is φ(α) = f(θ + αd), where d is the update; φ'(0) = dᵀ∇f(θ) must be negative. The searches
are loops of bounded length. Differentiation treats the rate that they find as a constant.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.checks import check_like
from gradtx._rules.fields import zeros
from gradtx._rules.loops import varying_as, while_loop
from gradtx._rules.objective import with_objective
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import alike, dot, normalized, power_of_two, precision, scaled, step_along
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import within
from gradtx._value.marks import Limit, NonNegative, Static
from gradtx._value.whole import whole_number

PATIENCE = 12  # evaluations in which the zoom follows the book; after them it tries other orders of magnitude


class Point(NamedTuple):
    """A point of the line: α, φ(α), φ'(α)."""

    step: jax.Array
    value: jax.Array
    slope: jax.Array


class Line(NamedTuple):
    """The objective on the line: ``value(α)``; ``at(α)``, the point and gradient there; ``start``, ``gradient`` at 0.

    ``rise`` has the sign of the slope at α = 0, even where the slope itself underflows to 0.
    """

    value: Callable[[Any], jax.Array]
    at: Callable[[Any], tuple[Point, Tree]]
    start: Point
    gradient: Tree
    rise: jax.Array


class Search(NamedTuple):
    """A search for Wolfe's conditions. The α sought lies between ``low``, the better end, and ``high``.

    ``high`` is at infinity until one is found; ``third`` is the end that was given up last; ``best`` is the lowest
    point with sufficient decrease, or the accepted point, and ``gradient`` the gradient there.
    """

    tried: jax.Array
    low: Point
    high: Point
    third: Point
    best: Point
    gradient: Tree
    over: jax.Array


@transformation
def scale_by_backtracking_linesearch(
    max_backtracking_steps: Static,
    slope_rtol: NonNegative = 1e-4,
    decrease_factor: NonNegative = 0.8,
    increase_factor: Limit = 1.5,
    max_learning_rate: Limit = 1.0,
    atol: NonNegative = 0.0,
    rtol: NonNegative = 0.0,
    *,
    store_grad: bool = False,
    has_aux: bool = False,
) -> Rule:
    """The update, shortened until the objective has decreased sufficiently: Armijo's condition.

        u ← αuₜ,   α the first of α₀, τα₀, τ²α₀ ...  with  f(θ + αuₜ) ≤ (1 + δ)f(θ) + cα uₜᵀ∇f(θ) + a

    c is ``slope_rtol``, τ ``decrease_factor``, δ ``rtol``, a ``atol``; α₀ is ``increase_factor`` times the previous α
    (1 if that was 0), at most ``max_learning_rate``; with an infinite factor it is always ``max_learning_rate``. The
    search tries 1 + ``max_backtracking_steps`` values. ``update`` needs ``value`` = f(θ), ``grad`` = ∇f(θ) and
    ``value_fn`` = f, which gets the extra keywords of ``update`` that it takes; ``has_aux`` says that it returns
    (value, aux). The traps: it comes last in a chain, after the minus sign; and it takes no step (α = 0) where uₜ does
    not descend, or where no α tried will do (Optax takes the last one). Source: Armijo 1966; Nocedal & Wright 2006,
    Algorithm 3.1.

    State: ``learning_rate`` (α), ``value`` at the new point, ``decrease_error`` (by how much the condition is missed),
    ``num_linesearch_steps``, and ``failed``: no step was found, though the gradient is not zero along uₜ; with
    ``store_grad`` also ``grad``, the gradient at the new point. Raises `TransformationError`: no ``params``, ``value``,
    ``grad`` or ``value_fn``.

    >>> f = lambda x: 2 * x**2
    >>> tx, x = scale_by_backtracking_linesearch(10, decrease_factor=0.5), jnp.array(1.0)
    >>> u, state = tx.update(-4 * x, tx.init(x), x, value=f(x), grad=4 * x, value_fn=f)
    >>> float(state["learning_rate"]), float(x + u)  # −3 and −1 are no better than 1
    (0.25, 0.0)
    """

    def init(params: Tree) -> Any:
        kept = {"grad": trees.map(zeros, params)} if store_grad else {}
        return _record(precision(params)) | kept

    def update(updates: Tree, state: Any, *, params: Tree, value: Any, grad: Tree, value_fn: Any) -> Any:
        most = whole_number("max_backtracking_steps", max_backtracking_steps)
        if not jax.tree.leaves(updates):
            return updates, state
        line = _line(updates, params, value, grad, value_fn)
        real, zero = line.start.step.dtype, line.start.step
        given = slope_rtol, decrease_factor, increase_factor, max_learning_rate, atol, rtol
        c, shrink, grow, top, absolute, relative = (_constant(x, real) for x in given)
        before = _constant(state["learning_rate"], real)

        def error(step: jax.Array, value: jax.Array) -> jax.Array:
            return _missed(value - (1 + relative) * line.start.value - c * step * line.start.slope)

        def shorten(carry: Any) -> Any:
            n, step, *_ = carry
            step = jnp.where(n > 0, shrink * step, step)
            value = line.value(step)
            return n + 1, step, value, error(step, value) <= absolute

        def unfinished(carry: Any) -> jax.Array:
            return ~carry[-1] & (carry[0] <= most) & (line.rise < 0)

        first = jnp.minimum(jnp.where(before > 0, before, 1) * grow, top)
        start = (jnp.zeros([], jnp.int32), first, line.start.value, jnp.zeros([], bool))
        tried, step, value, found = while_loop(unfinished, shorten, start)
        step, value = jnp.where(found, step, zero), jnp.where(found, value, line.start.value)
        made = {
            "learning_rate": step,
            "value": value,
            "decrease_error": jnp.where(found, error(step, value), 0),
            "num_linesearch_steps": tried,
            "failed": _failed(line, step),
        }
        if store_grad:
            made["grad"] = line.at(step)[1]
        return scaled(step, updates), jax.tree.map(lambda new, old: new.astype(old.dtype), made, state)

    return with_objective(whole_tree(update, init=init, packs=True), has_aux=has_aux)


@transformation
def scale_by_zoom_linesearch(
    max_linesearch_steps: Static,
    max_learning_rate: Limit = None,
    tol: NonNegative = 0.0,
    increase_factor: NonNegative = 2.0,
    slope_rtol: NonNegative = 1e-4,
    curv_rtol: Limit = 0.9,
    approx_dec_rtol: NonNegative = 1e-6,
    stepsize_precision: NonNegative = 1e-5,
    *,
    initial_guess_strategy: Literal["keep", "one"] = "keep",
    has_aux: bool = False,
) -> Rule:
    """The update, scaled to meet the strong Wolfe conditions: the objective falls enough, and its slope flattens.

        u ← αuₜ,   φ(α) ≤ φ(0) + c₁αφ'(0)  and  |φ'(α)| ≤ c₂|φ'(0)|,   φ(α) = f(θ + αuₜ)

    c₁ is ``slope_rtol``, c₂ ``curv_rtol``; each may be missed by ``tol``. The first α is 1 or the previous one
    (``initial_guess_strategy``; 1 where that was 0). It grows by ``increase_factor``, to ``max_learning_rate`` at most,
    until an interval holds an α that will do. Then the search closes in: by a cubic through the two ends and the end
    given up last, by a parabola where the cubic comes too close to an end, by halves where both do. Near a minimum,
    where rounding hides the decrease, φ'(α) ≤ (2c₁ − 1)φ'(0) replaces the first condition if φ(α) exceeds φ(0) by no
    more than ``approx_dec_rtol``·|φ(0)|. After ``max_linesearch_steps`` evaluations, or when the interval is shorter
    than ``stepsize_precision``, it takes, of all α with sufficient decrease, the one with the lowest objective. For
    badly scaled lines, from the 13th evaluation on, α grows by ``increase_factor``⁸; and where nothing has decreased
    yet, the search trusts the parabola however close to an end, or divides the interval by 1,000 where there is none.
    ``update`` needs ``value`` = f(θ), ``grad`` = ∇f(θ) and ``value_fn`` = f, which gets the extra keywords of
    ``update`` that it takes; ``has_aux`` says that it returns (value, aux). The traps: it comes last in a chain, after
    the minus sign; and it takes no step (α = 0) where uₜ does not descend, or where no α tried decreases the objective
    (Optax takes the last one). Source: Nocedal & Wright 2006, Algorithms 3.5 and 3.6, eqs. 3.7; Hager & Zhang 2006,
    eqs. 23 and 27.

    State: ``learning_rate`` (α); ``value`` and ``grad`` at the new point; ``decrease_error`` and ``curvature_error``
    (by how much the conditions are missed there), ``num_linesearch_steps``, and ``failed``: no step was found, though
    the gradient is not zero along uₜ. Raises `TransformationError`: no ``params``, ``value``, ``grad`` or ``value_fn``.

    >>> f = lambda x: 2 * x**2
    >>> tx, x = scale_by_zoom_linesearch(10), jnp.array(1.0)
    >>> u, state = tx.update(-4 * x, tx.init(x), x, value=f(x), grad=4 * x, value_fn=f)
    >>> float(state["learning_rate"]), float(x + u)  # −3 is too far; the parabola's minimum
    (0.25, 0.0)
    """

    def init(params: Tree) -> Any:
        real = precision(params)
        return _record(real) | {"curvature_error": jnp.zeros([], real), "grad": trees.map(zeros, params)}

    def update(updates: Tree, state: Any, *, params: Tree, value: Any, grad: Tree, value_fn: Any) -> Any:
        most = whole_number("max_linesearch_steps", max_linesearch_steps)
        if not jax.tree.leaves(updates):
            return updates, state
        line = _line(updates, params, value, grad, value_fn)
        real, start = line.start.step.dtype, line.start
        top = jnp.inf if max_learning_rate is None else max_learning_rate
        given = top, tol, increase_factor, slope_rtol, curv_rtol, approx_dec_rtol, stepsize_precision
        top, tolerance, grow, c1, c2, approximately, precise = (_constant(x, real) for x in given)
        before = _constant(state["learning_rate"], real)
        first = jnp.where((before > 0) & (initial_guess_strategy == "keep"), before, jnp.ones([], real))

        def errors(point: Point) -> tuple[jax.Array, jax.Array]:
            armijo = point.value - start.value - c1 * point.step * start.slope
            flat = point.slope - (2 * c1 - 1) * start.slope
            near = point.value - start.value - approximately * jnp.abs(start.value)
            bound = jnp.where(start.slope == 0, 0, c2 * jnp.abs(start.slope))
            decrease = jnp.minimum(armijo, jnp.maximum(flat, near))
            well = jnp.isfinite(point.value) & jnp.isfinite(point.slope)
            flatter = jnp.abs(point.slope) - bound
            return _missed(jnp.where(well, decrease, jnp.inf)), _missed(jnp.where(well, flatter, jnp.inf))

        def narrow(search: Search) -> Search:
            low, high = search.low, search.high
            bracketed = jnp.isfinite(high.step)
            late = search.tried >= PATIENCE
            onward = jnp.where(search.tried == 0, first, jnp.where(late, grow**8, grow) * low.step)
            lost = late & (search.best.step == 0)  # nothing has decreased yet: the interval is far too long
            inside = jnp.where(lost, _near(low, high), _inside(low, high, search.third))
            step = jnp.where(bracketed, inside, jnp.minimum(onward, top))
            new, gradient = line.at(step)
            decrease, curvature = errors(new)
            accepted = jnp.maximum(decrease, curvature) <= tolerance
            level = jnp.abs(new.value - start.value) <= jnp.finfo(real).eps * jnp.abs(start.value)
            unseen = ~bracketed & level & (new.slope < 0)  # it still falls, by less than rounding shows
            worse = ((decrease > 0) | (new.value >= low.value)) & ~unseen  # the new far end, else the new better end
            beyond = ~worse & (new.slope * jnp.where(bracketed, high.step - low.step, 1) >= 0)  # past the minimum
            better = accepted | ((decrease <= tolerance) & (new.value < search.best.value))
            best, kept = _choose(better, (new, gradient), (search.best, search.gradient))
            short = bracketed & (jnp.abs(high.step - low.step) <= precise) & (best.step > 0)
            at_top = ~(bracketed | worse | beyond) & (step >= top)
            return Search(
                tried=search.tried + 1,
                low=_choose(worse, low, new),
                high=_choose(worse, new, _choose(beyond, low, high)),
                third=_choose(bracketed & (worse | beyond), high, low),
                best=best,
                gradient=kept,
                over=accepted | short | at_top,
            )

        def unfinished(search: Search) -> jax.Array:
            return ~search.over & (search.tried < most)

        nowhere = start._replace(step=jnp.full([], jnp.inf, real))
        begun = Search(jnp.zeros([], jnp.int32), start, nowhere, start, start, line.gradient, ~(line.rise < 0))
        found = while_loop(unfinished, narrow, begun)
        decrease, curvature = errors(found.best)
        made = {
            "learning_rate": found.best.step,
            "value": found.best.value,
            "decrease_error": jnp.where(found.best.step > 0, decrease, 0),
            "curvature_error": curvature,
            "num_linesearch_steps": found.tried,
            "failed": _failed(line, found.best.step),
            "grad": found.gradient,
        }
        return scaled(found.best.step, updates), jax.tree.map(lambda new, old: new.astype(old.dtype), made, state)

    return with_objective(whole_tree(update, init=init, packs=True), has_aux=has_aux)


def _record(real: Any) -> dict[str, jax.Array]:
    """The state before the first search."""
    return {
        "learning_rate": jnp.ones([], real),
        "value": jnp.full([], jnp.inf, real),
        "decrease_error": jnp.zeros([], real),
        "num_linesearch_steps": jnp.zeros([], jnp.int32),
        "failed": jnp.zeros([], bool),
    }


def _line(updates: Tree, params: Tree, value: Any, grad: Tree, value_fn: Callable[[Tree], jax.Array]) -> Line:
    """The line through the parameters; differentiation treats everything that it depends on as constant."""
    within("grad", check_like)(grad, updates)
    at, direction, gradient = jax.lax.stop_gradient(alike(params, updates, grad))
    real = precision(at)
    at = varying_as(at, direction, gradient, value=value_fn)  # as θ + αd will, for any α
    objective, held = jax.closure_convert(value_fn, at)
    held = jax.lax.stop_gradient(held)

    def slope(gradient: Tree) -> tuple[jax.Array, jax.Array]:
        """φ' = Re Σ gd, where g is what JAX returns; and a number with the sign of φ' that does not underflow."""
        (g, g_power), (d, d_power) = (normalized(tree) for tree in (trees.map(jnp.conj, gradient), direction))
        rise = dot(g, d)
        return rise * g_power * d_power, rise

    def value_at(step: Any) -> jax.Array:
        return objective(step_along(at, step, direction), *held).astype(real)

    def point_at(step: Any) -> tuple[Point, Tree]:
        value, gradient = jax.value_and_grad(objective)(step_along(at, step, direction), *held)
        return Point(step, value.astype(real), slope(gradient)[0]), gradient

    zero = jnp.zeros([], real)
    if any(jnp.iscomplexobj(x) for x in jax.tree.leaves(at)):  # callers pass either conjugate as grad, so compute it
        gradient = point_at(zero)[1]
    start, rise = slope(gradient)
    return Line(value_at, point_at, Point(zero, _constant(value, real), start), gradient, rise)


def _constant(x: Any, real: Any) -> jax.Array:
    return jax.lax.stop_gradient(jnp.asarray(x).astype(real))


def _failed(line: Line, step: jax.Array) -> jax.Array:
    """Whether no step was found though there should be one: at a stationary point there need not be."""
    return ~(step > 0) & (line.rise != 0)


def _missed(error: jax.Array) -> jax.Array:
    """By how much a condition is missed, if at all; NaN misses it by infinity."""
    return jnp.where(jnp.isnan(error), jnp.inf, jnp.maximum(error, 0))


def _choose(which: jax.Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), yes, no)


def _inside(low: Point, high: Point, third: Point) -> jax.Array:
    """Where to try next in an interval: a cubic's minimum, a parabola's if it is too near an end, or the middle."""
    width, left = jnp.abs(high.step - low.step), jnp.minimum(high.step, low.step)
    cubic, parabola = _cubic_minimum(low, high, third), _parabola_minimum(low, high)
    by_parabola = (parabola > left + 0.1 * width) & (parabola < left + 0.9 * width)
    by_cubic = (cubic > left + 0.2 * width) & (cubic < left + 0.8 * width)
    middle = (low.step + high.step) / 2
    return jnp.where(by_cubic, cubic, jnp.where(by_parabola, parabola, middle))


def _near(low: Point, high: Point) -> jax.Array:
    """Where to try next in an interval far too long: a parabola's minimum near ``low``, or 1/1000 of the way."""
    parabola = _parabola_minimum(low, high)
    within = (parabola > low.step) & (parabola < (low.step + high.step) / 2)
    return jnp.where(within, parabola, low.step + (high.step - low.step) / 1000)


def _cubic_minimum(a: Point, b: Point, c: Point) -> jax.Array:
    """The minimum of the cubic through three points, with the slope of the first; NaN if there is none."""
    x, y, unit = b.step - a.step, c.step - a.step, power_of_two(a.slope)  # in units of the slope: squares stay finite
    slope, to_b, to_c = a.slope / unit, (b.value - a.value) / unit, (c.value - a.value) / unit
    over_x, over_y = (to_b - slope * x) / x**2, (to_c - slope * y) / y**2
    cube = (over_x - over_y) / (x - y)
    square = over_x - cube * x
    return a.step + (-square + jnp.sqrt(square**2 - 3 * cube * slope)) / (3 * cube)


def _parabola_minimum(a: Point, b: Point) -> jax.Array:
    """The extremum of the parabola through two points, with the slope of the first."""
    x = b.step - a.step
    return a.step - a.slope * x**2 / (2 * (b.value - a.value - a.slope * x))
