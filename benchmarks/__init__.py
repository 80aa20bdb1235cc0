"""How fast and how small training is on this processor, beside the best others can do.

    python -m tinygrad_ai bench all

`protocol.py` says how it is measured; `step.py`, `linear.py`, `overhead.py`, `memory.py` and
`imports.py` say what. docs/bench.md explains it.
"""
