"""`python -m tinygrad_ai generate`: texts that a GPT-2 continues."""

from __future__ import annotations

import argparse
from typing import Any

from .. import models, text
from ..errors import ArgumentError, DataError
from ..ops.create import tensor
from ..ops.random import Generator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", required=True, metavar="DIR", help="folder of a GPT-2, with its tokenizer")
    add("--prompt", default="", metavar="TEXT", help="what to continue (nothing)")
    add("--max-new-tokens", type=int, metavar="N", help="at most so many more (50, if they fit)")
    add("--temperature", type=float, default=1.0, metavar="T", help="below 1 less daring (1)")
    add("--top-k", type=int, default=50, metavar="K", help="draw from the K likeliest, 0: all (50)")
    add("--top-p", type=float, default=1.0, metavar="P", help="and of those from the share P (1)")
    add("--greedy", action="store_true", help="always the likeliest token, nothing drawn")
    add("--seed", type=int, default=0, metavar="N", help="of what is drawn (0)")
    add("--count", type=int, default=1, metavar="N", help="how many texts (1)")
    add("--device", default="cpu", metavar="NAME", help="cpu or cuda (cpu)")


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    if args.count < 1:
        raise ArgumentError(f"expected --count >= 1, got {args.count}")
    if args.max_new_tokens is not None and args.max_new_tokens < 1:
        raise ArgumentError(f"expected --max-new-tokens >= 1, got {args.max_new_tokens}")
    if args.greedy and args.count > 1:
        raise ArgumentError("--greedy gives the same text each time: without --count")
    model = models.GPT2LMHeadModel.from_pretrained(args.model).to(args.device)
    tokenizer = text.AutoTokenizer.from_pretrained(args.model)
    start = tensor([beginning(tokenizer, args.prompt)] * args.count, device=args.device)
    found = model.generate(
        start, max_new_tokens=args.max_new_tokens or fitting(model, start),
        do_sample=not args.greedy,
        temperature=args.temperature, top_k=args.top_k, top_p=args.top_p,
        generator=Generator(args.device).manual_seed(args.seed),
    )  # fmt: skip
    for number, ids in enumerate(found.tolist(), 1):
        if args.count > 1:
            print(f"--- {number}")
        print(tokenizer.decode(ids, skip_special_tokens=True))
    return 0


def fitting(model: Any, start: Any) -> int:
    """50 tokens, or as many as the model still reads."""
    return min(50, max(model.config.n_positions - start.shape[1], 1))


def beginning(tokenizer: Any, prompt: str) -> list[int]:
    """The prompt's ids; without one, the token that stands between texts."""
    ids: list[int] = tokenizer(prompt, verbose=False)["input_ids"]
    if ids:
        return ids
    if tokenizer.eos_token_id is None:
        raise DataError("the tokenizer has no end token to begin with", "--prompt TEXT")
    return [tokenizer.eos_token_id]
