"""Should a learning rate decay? Where does gradient descent with noisy gradients end up, under which schedule?"""

import jax
import jax.numpy as jnp

import gradtx

STEPS, EPOCH = 2_000, 100
CURVATURE = jnp.array([1.0, 0.02])
SCHEDULES = {
    "constant": gradtx.constant_schedule(0.5),
    "time-based, by step": gradtx.inverse_time_decay(0.5, 1, 0.5),
    "time-based, by epoch": gradtx.inverse_time_decay(0.5, EPOCH, 0.5, staircase=True),
    "exponential, by epoch": gradtx.exponential_decay(0.5, EPOCH, 0.9, staircase=True),
    "cosine": gradtx.cosine_decay_schedule(0.5, STEPS),
    "warm up, stay, cool down": gradtx.warmup_stable_decay_schedule(0.0, 0.5, 0.05, 0.65, 0.3).stretch(STEPS),
}


def final_loss(tx, key):
    """The loss ½Σλθ² after all steps from (10, 10); every gradient λθ comes with noise of variance 1."""

    def step(carry, key):
        theta, state = carry
        updates, state = tx.update(CURVATURE * theta + jax.random.normal(key, (2,)), state)
        return (gradtx.apply_updates(theta, updates), state), None

    theta = jnp.array([10.0, 10.0])
    (theta, _), _ = jax.lax.scan(step, (theta, tx.init(theta)), jax.random.split(key, STEPS))
    return 0.5 * CURVATURE * theta**2


@jax.jit
def mean_loss(tx):
    """Of 500 runs, along the steep axis and the flat one."""
    return jnp.mean(jax.vmap(lambda key: final_loss(tx, key))(jax.random.split(jax.random.key(0), 500)), axis=0)


def main():
    """Print the rates along the way, and the loss at the end."""
    print(f"{'learning rate at step':>24}{0:>9}{100:>9}{1000:>9}{1999:>9}   loss, steep and flat axis")
    for name, schedule in SCHEDULES.items():
        rates = "".join(f"{float(schedule(step)):9.4f}" for step in (0, 100, 1000, 1999))
        steep, flat = mean_loss(gradtx.sgd(schedule))
        print(f"{name:>24}{rates}{steep:11.4f}{flat:9.4f}")
    print("Yes. A constant rate ε stays as far away as the noise throws it: ε/(2(2 − ελ)), 1/6 where λ = 1.")
    print("But not too soon: decay by every step is still on its way down the flat axis (the loss was 1).")


if __name__ == "__main__":
    main()
