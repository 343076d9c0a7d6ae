"""One run: which suites and arms, measured, judged and handed on."""
