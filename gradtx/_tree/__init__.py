"""Trees of arrays; its names live at `gradtx.tree`."""
