"""Who takes part: one file for each library, one function in it for each job it does."""

from ..protocol import Contender

HERE = __name__
TORCH = f"{HERE}.pytorch"

CONTENDERS = {
    c.key: c
    for c in (
        Contender("tinygrad_ai", "tinygrad_ai", f"{HERE}.ours"),
        Contender(
            "tinygrad_ai-fused", "tinygrad_ai, activation in the layer", f"{HERE}.ours", "fused"
        ),
        Contender(
            "tinygrad_ai-plain", "tinygrad_ai, not compiled", f"{HERE}.ours",
            env={"TINYGRAD_AI_NATIVE": "0"},
        ),
        Contender("pytorch", "PyTorch", TORCH, packages=("torch",)),
        Contender("pytorch-fused", "PyTorch, Adam(fused=True)", TORCH, "fused", ("torch",)),
        Contender(
            "pytorch-compiled", "PyTorch, fused and compiled", TORCH, "compiled", ("torch",),
            env={"TORCHINDUCTOR_COMPILE_THREADS": "1"},  # no processes that stay beside it
        ),
        Contender(
            "jax", "JAX, one jit", f"{HERE}.xla", packages=("jax", "optax"),
            env={"JAX_PLATFORMS": "cpu"},
        ),
        Contender("numpy", "NumPy by hand", f"{HERE}.plain", packages=("numpy",)),
    )
}  # fmt: skip
