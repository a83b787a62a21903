"""How much memory a process has."""

import os


def resident() -> float:
    """Bytes that this process has in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return float(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0.0
