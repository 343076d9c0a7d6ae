"""The host: its fingerprint, cores, GPUs, sensors, locks and conditions."""
