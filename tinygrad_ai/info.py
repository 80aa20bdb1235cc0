"""`python -m tinygrad_ai info`: versions, BLAS and threads, and which accelerators are there."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import metadata
from typing import Any

from . import __version__
from .backend import accelerators


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def collect() -> dict[str, Any]:
    """Everything there is to know about this installation, as plain data."""
    packages = ("numpy", "scipy", "safetensors", "rich", "matplotlib", "tokenizers", "torch")
    return {
        "tinygrad_ai": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version_of(name) for name in packages},
        "cpus": os.cpu_count(),
        "blas": accelerators.blas(),
        "accelerators": accelerators.report(),
    }


def _said(state: dict[str, Any]) -> str:
    """An accelerator's state in a line."""
    if not state["available"]:
        return f"not used: {state['reason']}"
    rest = [f"{k}: {v}" for k, v in state.items() if k != "available"]
    return ", ".join(["in use", *rest])


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    found = collect()
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    for name in ("tinygrad_ai", "python", "platform", "cpus"):
        print(f"{name:<14}{found[name]}")
    for name, version in found["packages"].items():
        print(f"{name:<14}{version or 'not installed'}")
    blas = found["blas"]
    print(f"{'BLAS':<14}{blas['name']} {blas['version']}, threads: {blas['threads']}")
    for name, state in found["accelerators"].items():
        print(f"{name:<14}{_said(state)}")
    return 0
