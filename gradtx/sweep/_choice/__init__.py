"""Which lanes go on."""
