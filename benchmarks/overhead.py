"""What the engine itself costs, beside PyTorch: small tensors, where arithmetic takes no time.

    python benchmarks/overhead.py [--rounds N]

Each contender runs in a process of its own, in turn, with one thread. Printed are medians of the
rounds and their ratios; below 1.0 we are faster. Importing is timed as a whole process, against
the start of Python alone. The results of both are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import timeit

CONTENDERS = ("tinygrad_ai", "torch")
LIMITS = {"a + b": 1.0, "a + b, recorded": 1.0, "chain of 100, both ways": 0.6}


def work(name: str) -> dict[str, float]:
    """Microseconds of each task in this process."""
    if name == "torch":
        import torch as lib

        lib.set_num_threads(1)
    else:
        import tinygrad_ai as lib
    values = [[(i * 7 + j * 3) % 5 / 5 - 0.4 for j in range(4)] for i in range(4)]
    a, b = lib.tensor(values), lib.tensor(values).T.contiguous()
    w = lib.tensor(values, requires_grad=True)

    def chain() -> None:
        x = w
        for _ in range(50):
            x = x * b
            x = x + a
        x.sum().backward()

    chain()
    check = float(w.grad.sum())
    w.grad = None

    def chain_alone() -> None:
        chain()
        w.grad = None

    tasks = {
        "a + b": lambda: a + b,
        "a + b, recorded": lambda: a + w,
        "chain of 100, both ways": chain_alone,
    }
    found = {}
    for task, run in tasks.items():
        count = 200 if "chain" in task else 20_000
        found[task] = min(timeit.repeat(run, number=count, repeat=5)) / count * 1e6
    return {**found, "check": check}


def measure(name: str) -> dict[str, float]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--work", name],
        capture_output=True,
        text=True,
        env=env,
        check=True,
    )
    return json.loads(done.stdout)


def seconds(code: str) -> float:
    """The best of five whole processes; the first may have to compile our files."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    runs = timeit.repeat(lambda: subprocess.run(command, check=True, env=env), number=1, repeat=5)
    return min(runs)


def main(rounds: int) -> int:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            runs[name].append(measure(name))
    checks = [runs[name][0]["check"] for name in CONTENDERS]
    if abs(checks[0] - checks[1]) > 1e-4 * max(1, abs(checks[1])):
        print(f"the results differ: {checks}")
        return 1
    print(f"{'':<26}{'ours':>10}{'PyTorch':>10}{'ratio':>8}{'limit':>8}")
    failed = 0
    for task, limit in LIMITS.items():
        ours, theirs = [statistics.median(r[task] for r in runs[name]) for name in CONTENDERS]
        ratio = statistics.median(
            x[task] / y[task] for x, y in zip(runs["tinygrad_ai"], runs["torch"], strict=True)
        )
        failed += ratio > limit
        print(f"{task:<26}{ours:>8.2f}us{theirs:>8.2f}us{ratio:>8.2f}{limit:>8.2f}")
    ours = seconds("import tinygrad_ai") - seconds("pass")
    print(f"{'import tinygrad_ai':<26}{ours:>9.3f}s{'':>10}{'':>8}{0.25:>7}s")
    return 1 if failed or ours > 0.25 else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work)))
    else:
        sys.exit(main(options.rounds))
