"""fastbp compared with other libraries on this machine, for `fastbp bench` and bench/compare.py.

`workloads` has what is timed, `peers` the same work in each library, `server` the process of one peer, and `turns` runs
the processes in turn.
"""
