"""The parts of the conformance kit, `gradtx.testing`."""
