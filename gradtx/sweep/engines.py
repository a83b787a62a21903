"""Engines: who trains the chunks of a sweep, on whatever machines there are.

    sweep.run(..., folder="swept", engine=sweep.engines.submitit(8, cluster="slurm", gpus_per_node=1))
    sweep.run(..., folder="swept", engine=sweep.engines.ray(8, num_gpus=1))
    sweep.run(..., folder="swept", engine=sweep.engines.dask(client, 8))
    sweep.run(..., folder="swept", engine="folder")  # this process, and whoever joins: python -m gradtx worker swept

Workers claim chunks of lanes in the folder, which all of them see. They may come, die and return: a chunk whose worker
is lost is taken up from its last save, and what comes out is bit for bit what one machine computes, on devices of the
same kind. The program of a structure is compiled once for all workers. The caller waits, makes the selections, and puts
the result together; after any interruption the same call goes on.

On accelerators all lanes of a chunk are one ``vmap`` unless ``width`` is given. A caller without one, such as a login
node, gives ``width`` for its workers, and ``devices="all"`` where each is to use all that it has. Two workers on one
GPU are refused unless they were told to share its memory (``XLA_PYTHON_CLIENT_MEM_FRACTION=0.45``).
"""

from gradtx.sweep._engines.dask import dask
from gradtx.sweep._engines.ray import ray
from gradtx.sweep._engines.submitit import submitit
from gradtx.sweep._engines.worker import work, workers

__all__ = ["dask", "ray", "submitit", "work", "workers"]
