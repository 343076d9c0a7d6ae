"""The other side of a target: a suite, measured on the host that this runs on."""
