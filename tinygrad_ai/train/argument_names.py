"""The names TrainingArguments takes beside its own: older ones, and those that are refused."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from ..errors import ArgumentError

RENAMED = {"evaluation_strategy": "eval_strategy", "no_cuda": "use_cpu"}

# Hugging Face's, with their defaults: taken as they are, refused with any other value.
UNSUPPORTED: dict[str, Any] = {
    "accelerator_config": None, "activation_checkpointing": None,
    "activation_checkpointing_kwargs": None, "auto_find_batch_size": False,
    "batch_eval_metrics": False, "bf16_full_eval": False, "dataloader_in_order": True,
    "ddp_backend": None, "ddp_broadcast_buffers": None, "ddp_bucket_cap_mb": None,
    "ddp_find_unused_parameters": None, "ddp_static_graph": None, "ddp_timeout": 1800,
    "debug": "", "deepspeed": None, "enable_jit_checkpoint": False, "eval_do_concat_batches": True,
    "eval_use_gather_object": False, "fp16_full_eval": False, "fsdp": None, "fsdp_config": None,
    "gradient_checkpointing": None, "gradient_checkpointing_kwargs": None, "hub_always_push": False,
    "hub_model_id": None, "hub_private_repo": None, "hub_revision": None,
    "hub_strategy": "every_save", "hub_token": None, "ignore_data_skip": False,
    "include_num_input_tokens_seen": "no", "liger_kernel_config": None, "local_rank": -1,
    "neftune_noise_alpha": None, "optim_args": None, "optim_target_modules": None,
    "parallelism_config": None, "project": "huggingface", "push_to_hub": False,
    "skip_memory_metrics": True, "tf32": None, "torch_compile": False,
    "torch_compile_backend": None, "torch_compile_mode": None, "torch_empty_cache_steps": None,
    "trackio_bucket_id": None, "trackio_space_id": None, "trackio_static_space_id": None,
    "use_cache": False, "use_liger_kernel": False,
}  # fmt: skip

# Hugging Face's, of no consequence here: one process on one machine, predictions kept on the CPU,
# the states of callbacks always restored.
WITHOUT_EFFECT = {
    "average_tokens_across_devices", "dataloader_persistent_workers", "eval_accumulation_steps",
    "full_determinism", "log_level", "log_level_replica", "log_on_each_node",
    "overwrite_output_dir", "restore_callback_states_from_checkpoint", "run_name",
    "save_on_each_node", "save_safetensors",
}  # fmt: skip


def translated(given: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """Arguments under the names of the fields; ArgumentError for one that cannot be taken."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in UNSUPPORTED:
            _refuse(name, value)
        elif name == "warmup_ratio":
            _put(found, "warmup_steps", _ratio(value), name, given)
        elif name == "group_by_length":
            order = "group_by_length" if value else "random"
            _put(found, "train_sampling_strategy", order, name, given)
        elif name in RENAMED:
            _put(found, RENAMED[name], value, name, given)
        elif name in known:
            found[name] = value
        elif name not in WITHOUT_EFFECT:
            raise ArgumentError(
                f"TrainingArguments has no argument {name!r}", _nearest(name, known)
            )
    return found


def _put(found: dict[str, Any], name: str, value: Any, old: str, given: dict[str, Any]) -> None:
    if name in given:
        raise ArgumentError(f"{old} and {name} mean the same: give one of them", f"{name}=...")
    found[name] = value


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ratio(value: Any) -> float:
    if not is_number(value) or not 0 <= value < 1:
        raise ArgumentError(f"expected warmup_ratio in [0, 1), got {value!r}")
    return float(value)


def _refuse(name: str, value: Any) -> None:
    default = UNSUPPORTED[name]
    off = (None, False, [], "") if default in (None, False, "") else (default,)
    if value not in off:
        raise ArgumentError(
            f"{name}={value!r}: this argument of Hugging Face's is not supported here",
            f"leave {name} out",
        )


def _nearest(name: str, known: list[str]) -> str | None:
    names = [*known, *RENAMED, *UNSUPPORTED, *WITHOUT_EFFECT, "warmup_ratio", "group_by_length"]
    near = get_close_matches(name, names, 1, 0.5)
    return f"{near[0]}=..." if near else None
