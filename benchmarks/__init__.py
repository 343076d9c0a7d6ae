"""Programs that measure the harness itself."""
