"""Who holds something on a shared disk: a process, named so that others on its machine can tell whether it lives."""

import os
import random
import socket
from pathlib import Path


def machine() -> str:
    """The name of this machine, or container: processes within it can see each other."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def new_owner() -> str:
    """This process under a name that no other has: machine, process, and a number drawn at random."""
    return f"{machine()} {os.getpid()} {random.SystemRandom().randrange(2**32):08x}"


def is_dead(owner: str) -> bool:
    """Whether an owner is a process of this machine that has ended. Of other machines nothing is known."""
    place, pid, _ = owner.rsplit(" ", 2)
    if place != machine():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_ended(int(pid))


def in_words(owner: str) -> str:
    """An owner for a reader.

    >>> in_words("node7 pid:[4026531836] 812 0badcafe")
    'process 812 on node7'
    """
    place, pid, _ = owner.rsplit(" ", 2)
    return f"process {pid} on {place.partition(' ')[0]}"


def _is_ended(pid: int) -> bool:
    """Whether a process has ended and only waits for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except (OSError, IndexError):
        return False
