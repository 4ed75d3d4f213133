"""fastbp beside other libraries on this machine: what `fastbp bench` and bench/compare.py measure.

`workloads` is what is timed, `peers` the same work in each library, `server` the process of one peer, and `turns` lets
the processes take turns.
"""
