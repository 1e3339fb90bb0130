"""What the program costs and how fast it is, measured beside what is there to compare with: `make bench`, or `python -m benchmarks --help`.

Each measurement is a module whose `measure` yields figures (figures.py).  A figure carries its target and, where there is one, the
same figure of a peer or of the bare kernel, taken in the same run: absolute numbers move with the machine, ratios much less.

    ours.py, peers/       one running efsupervisord, supervisord, circus, s6, runit, all used in the same way
    tool.py, programs/    the programs at the ends of the pipes, in C where a compiler is there
    processes.py          what /proc tells
    bench.py              what a measurement is given: its folder, how much to do, which peers are there

Nothing here is imported by the product.  No process and no temporary folder outlives a run, also not an interrupted one.
"""
