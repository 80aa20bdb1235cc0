"""What decides the outcome of a run, so that a resumed one is known to be the same run."""

from __future__ import annotations

import re
from typing import Any

from ..errors import CheckpointError

ARGUMENTS = (
    "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
    "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "weight_decay",
    "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "label_smoothing_factor", "bf16",
    "fp16", "seed", "data_seed", "dataloader_drop_last", "train_sampling_strategy",
    "metric_for_best_model", "greater_is_better",
)  # fmt: skip
INCIDENTAL = {
    "_name_or_path", "transformers_version", "use_cache", "architectures", "dtype", "torch_dtype",
}  # fmt: skip
GUESSED = {"problem_type"}  # a model fills it in when it first sees labels


def fingerprint(args: Any, model: Any, optimizer: Any, samples: int | None) -> dict[str, Any]:
    """Everything that has to be the same again, as what JSON can hold."""
    return {
        "arguments": {name: as_json(getattr(args, name)) for name in ARGUMENTS},
        "dataset": {"samples": samples},
        "model": config_of(model),
        "layers": re.sub(r" at 0x[0-9a-f]+", "", repr(model)).split("\n"),
        "parameters": {
            name: [list(p.shape), str(p.dtype), "trained" if p.requires_grad else "frozen"]
            for name, p in model.named_parameters()
        },
        "optimizer": optimizer_of(optimizer),
    }


def config_of(model: Any) -> dict[str, Any]:
    """The model's configuration, where it has one."""
    config = getattr(model, "config", None)
    to_dict = getattr(config, "to_dict", None)
    found = to_dict() if to_dict else vars(config) if hasattr(config, "__dict__") else {}
    return {k: as_json(v) for k, v in found.items() if k not in INCIDENTAL}


def optimizer_of(optimizer: Any) -> dict[str, Any]:
    """The formula, and each group's options and number of parameters."""
    found: dict[str, Any] = {"class": type(optimizer).__name__}
    for i, group in enumerate(optimizer.param_groups):
        options = {k: as_json(v) for k, v in group.items() if k not in ("params", "lr")}
        found[f"group {i}"] = {**options, "parameters": len(group["params"])}
    return found


def as_json(value: Any) -> Any:
    """A value as it will be read back from JSON."""
    if isinstance(value, dict):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def compare(saved: dict[str, Any], now: dict[str, Any], folder: Any) -> None:
    """CheckpointError that names each thing that is not as it was."""
    found = []
    for part, content in now.items():
        before = saved.get(part)
        if before == content:
            continue
        if isinstance(content, list) or not isinstance(before, dict):
            found.append(_lines(part, before, content))
            continue
        for key in [*content, *(k for k in before if k not in content)]:
            pair = before.get(key), content.get(key)
            if pair[0] != pair[1] and not (key in GUESSED and None in pair):
                there, here = _differing(*pair)
                found.append(f"{part} {key}: {there} there, {here} here")
    if found:
        more = f"\n  and {len(found) - 8} more" if len(found) > 8 else ""
        raise CheckpointError(
            f"{folder} is of another run:\n  " + "\n  ".join(found[:8]) + more,
            "resume with what it was started with, or train anew in another output_dir",
        )


def _differing(there: Any, here: Any) -> tuple[Any, Any]:
    """Of two dictionaries what is not the same."""
    if not isinstance(there, dict) or not isinstance(here, dict):
        return there, here
    same = {k for k in there if k in here and there[k] == here[k]}
    return tuple({k: v for k, v in d.items() if k not in same} for d in (there, here))  # type: ignore[return-value]


def _lines(part: str, before: Any, now: list[Any]) -> str:
    pairs = list(zip(before or [], now, strict=False))
    there, here = next(((a, b) for a, b in pairs if a != b), (len(before or []), len(now)))
    return f"{part}: {str(there).strip()} there, {str(here).strip()} here"
