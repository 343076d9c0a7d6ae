"""What runs on a GPU host without internet: wheels brought there in pieces, then measurements.

Standard library only, because the host has not yet what the project imports:
`python -m benchmarks.gpu_offline --help`.
"""
