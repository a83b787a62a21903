"""Does a compiled step of training need a second copy of parameters and state?

Not where they are donated: then what goes in is overwritten by what comes out, and the only arrays beside them are the
gradient's. The compiler says so before anything runs.
"""

import jax
import jax.numpy as jnp

import gradtx

MIB = 2**20


def loss(params, batch):
    hidden = jnp.tanh(batch @ params["in"])
    return jnp.mean((hidden @ params["out"] - batch) ** 2)


def main():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3))
    params = {"in": jnp.ones((256, 4096)) / 256, "out": jnp.ones((4096, 256)) / 4096}
    state, batch = tx.init(params), jnp.ones((8, 256))
    held = gradtx.tree.nbytes((params, state))

    def step(params, state, batch):
        updates, state = tx.update(jax.grad(loss)(params, batch), state, params)
        return gradtx.apply_updates(params, updates), state

    print(f"parameters and two moments: {held / MIB:.0f} MiB")
    for donated in ((), (0, 1)):
        compiled = jax.jit(step, donate_argnums=donated).lower(params, state, batch).compile()
        memory = compiled.memory_analysis()
        fresh = memory.output_size_in_bytes - memory.alias_size_in_bytes
        name = "donated" if donated else "kept   "
        print(f"{name}: {memory.alias_size_in_bytes / MIB:.0f} MiB overwritten, {fresh / MIB:.0f} MiB made anew")
    assert memory.alias_size_in_bytes == held

    after, _ = compiled(params, state, batch)
    gone, there = params["in"].is_deleted(), not after["in"].is_deleted()
    print(f"the old parameters are gone: {gone}; the new ones are there: {there}")


if __name__ == "__main__":
    main()
