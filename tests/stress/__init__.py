"""Scripts that mistreat fastbp by the thousand, print their counts, and fail where something breaks.

``make stress`` runs all of them; each runs alone by ``python -m tests.stress.NAME``, with ``--help`` for its options.
"""
