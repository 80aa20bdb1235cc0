"""What users of torch.profiler are used to, and what to write here instead."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, NoReturn

from ..errors import ArgumentError

ALWAYS = "leave it out: it is always done"
OPTIONS = {
    "activities": "leave it out: the CPU and every GPU that has work are seen",
    "record_shapes": "leave it out: FLOPs and bytes are counted from shapes",
    "profile_memory": "memory=True",
    "with_flops": ALWAYS,
    "with_stack": 'leave it out: report.by("line") has the lines',
    "with_modules": 'leave it out: report.by("layer") has the modules',
    "schedule": "let some steps run to warm up, then put the block around those to profile",
    "on_trace_ready": "report.trace(path) after the block",
    "use_cuda": ALWAYS,
    "use_device": ALWAYS,
}
METHODS = {
    "key_averages": 'print(report.by("op")) after the block',
    "export_chrome_trace": "report.trace(path)",
    "export_stacks": 'report.by("line")',
    "step": "leave it out: the optimizer's steps are seen",
    "start": "with profile(model, optimizer) as report: ...",
    "stop": "with profile(model, optimizer) as report: ...",
}


def refuse(options: dict[str, Any]) -> None:
    """ArgumentError for an option that is none."""
    for name in options:
        near = get_close_matches(name, ("memory", "called"), 1)
        fix = OPTIONS.get(name, f"did you mean {near[0]!r}?" if near else None)
        raise ArgumentError(f"profile has no option {name!r}", fix)


def missing(owner: Any, name: str) -> NoReturn:
    """AttributeError for what is not there, with what is."""
    fix = f"\n  fix: {METHODS[name]}" if name in METHODS else ""
    raise AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}{fix}")
