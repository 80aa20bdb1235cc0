"""The faults: of rules, of the walk, of optimizers, losses, layers and data."""

from __future__ import annotations

from tests.faults.planting import Fault

OPS, OPTIM = "tests/test_ops.py", "tests/test_optim.py"
MODULES, AUTOGRAD = "tests/test_modules.py", "tests/test_autograd.py"


def rule(name: str, op: str, old: str, new: str, row: str | None = None) -> Fault:
    """A fault of an op's rule, to be caught where the op's gradient is held against PyTorch's."""
    tests = rf"{OPS}::test_gradient\[\w+-{row or op}-\d+\]"
    return Fault(f"{op}: {name}", f"rule of {op}", old, new, tests)


def optimizer(name: str, place: str, old: str, new: str, rows: str) -> Fault:
    """A fault of an optimizer, to be caught in fifty steps beside PyTorch's."""
    tests = rf"{OPTIM}::test_fifty_steps_like_pytorch\[{rows}-\d+\]"
    return Fault(f"{rows}: {name}", f"tinygrad_ai.optim.{place}", old, new, tests)


def layer(name: str, place: str, old: str, new: str, tests: str) -> Fault:
    return Fault(name, f"tinygrad_ai.nn.{place}", old, new, tests)


RULES = [
    rule("the gradients are swapped", "mul", "g * b if", "g * a if", r"mul\w*"),
    rule("sign", "sub", "-g if", "g if"),
    rule("sign", "true_divide", "-g * (a / b)", "g * (a / b)", "div"),
    rule("the exponent is not lowered", "pow", "(b - 1)", "b"),
    rule("a forgotten term", "exp", "g * y", "g * y + g"),
    rule("off by one eps", "log", "g / x", "g / (x + 1e-5)"),
    rule("factor 2", "sqrt", "(2 * y)", "y"),
    rule("the square is missing", "tanh", "y * y", "y"),
    rule("x where y belongs", "square", "2 * g", "g"),
    rule("the slope at the kink", "abs", "sign(x)", "(sign(x) + (x == 0))"),
    rule("missing mean", "mean", "g / math.prod([x_shape[d] for d in dim])", "g"),
    rule("detached", "matmul", "ga = _matmul(g, transpose(b, -2, -1)) if needs[0] else None",
         "ga = None"),
    rule("the direction", "cumsum", "flip(_cumsum(flip(g, dim), dim=dim), dim)",
         "_cumsum(g, dim=dim)"),
    rule("branches swapped", "select", "where(condition, g, 0.0)", "where(condition, 0.0, g)",
         "choice"),
    rule("a missing term", "softmax", "_softmax_grad(g, y, dim=dim)", "g * y",
         r"[\w.]*softmax"),
    rule("a missing sum", "log_softmax", "_log_softmax_grad(g, y, dim=dim)", "g - exp(y)",
         r"[\w.]*log_softmax"),
    rule("no shift", "logsumexp", "exp(x - spread(y, x.shape, dim))", "exp(x)"),
    rule("the mean is not taken away", "var", "x - mean(x, dim, True)", "x"),
    rule("the correction", "var", "_freedom(count, correction)", "count"),
    rule("the scale is missing", "dropout", "scale=scale", "scale=1.0", r"[\w.]*dropout\w*"),
    rule("the mean's factor", "cross_entropy", '"reduction": reduction', '"reduction": "sum"',
         r"[\w.]*cross_entropy"),
    rule("the scale is missing", "attention", '"scale": scale', '"scale": 1.0',
         r"[\w.]*scaled_dot_product_attention"),
    rule("the bias is detached", "linear", "grads(g, None if act is None else y, x, w, needs, act)",
         "(*grads(g, None if act is None else y, x, w, needs, act)[:2], None)", r"[\w.]*linear\w*"),
    rule("the activation's slope is missing", "linear", "needs, act)", "needs, None)",
         r"[\w.]*linear_\w+"),
    rule("the padding index", "embedding", "padding=padding", "padding=None",
         r"[\w.]*embedding"),
    rule("detached", "convolve", "if needs[1]", "if False", r"[\w.]*conv\w*"),
    rule("a statistic is detached", "layer_norm", "_layer_norm_grad(gy, x, w, m, r)",
         "(gy * r * (1 if w is None else w), *_layer_norm_grad(gy, x, w, m, r)[1:])",
         r"[\w.]*layer_norm"),
]  # fmt: skip

WALK = [
    Fault("the walk: a missing sum over what was broadcast",
          "tinygrad_ai.autograd.grad:Walk.deliver", "fit(gx, parent, node)",
          "gx[(slice(0, 1),) * 0 + (0,) * (gx.ndim - len(parent.shape))]",
          rf"{OPS}::test_gradient\[arithmetic-(add|mul)-\d+\]"),
    Fault("the walk: a gradient is overwritten, not added",
          "tinygrad_ai.autograd.grad:Walk.add", "before + g", "g",
          r"tests/test_graph.py::test_a_diamond|tests/test_graph.py::test_the_same_tensor_twice"),
    Fault("the walk: .grad is overwritten, not added to",
          "tinygrad_ai.autograd.grad:Walk.gather", "old.array += g", "old.array[...] = g",
          rf"{AUTOGRAD}::test_backward_of_a_scalar_and_accumulation"),
    Fault("the walk: what a hook returns is dropped",
          "tinygrad_ai.autograd.grad:Walk.call_hooks", "if result is not None", "if False",
          rf"{AUTOGRAD}::test_hooks_run_in_order"),
    Fault("a change in place is not noticed", "tinygrad_ai.autograd.saved:check_unchanged",
          "last.tick < node.id", "False", rf"{AUTOGRAD}::test_change_in_place"),
]  # fmt: skip

OPTIMIZERS = [
    optimizer("the step is counted twice", "adam:Adam.update_all",
              't=advance_all([s["step"] for s in states])',
              't=[n + 1 for n in advance_all([s["step"] for s in states])]', "Adam"),
    optimizer("one beta for both moments", "adam:Adam.update_all", 'beta2=group["betas"][1]',
              'beta2=group["betas"][0]', "Adam"),
    optimizer("off by one eps", "adam:Adam.update_all", 'eps=group["eps"]',
              'eps=2 * group["eps"]', "Adam"),
    optimizer("weight decay is coupled", "adam:Adam.update_all",
              'decoupled=group["decoupled_weight_decay"]', "decoupled=False", "AdamW"),
    optimizer("the step is taken uphill", "sgd:SGD.update_all", "lr=rate(group)",
              "lr=-rate(group)", "SGD"),
    optimizer("dampening is forgotten", "sgd:SGD.update_all", 'dampening=group["dampening"]',
              "dampening=0.0", "SGD"),
    optimizer("nesterov is forgotten", "sgd:SGD.update_all", 'nesterov=group["nesterov"]',
              "nesterov=False", "SGD"),
    optimizer("alpha the wrong way round", "rmsprop:RMSprop.update_all", 'alpha=group["alpha"]',
              'alpha=1 - group["alpha"]', "RMSprop"),
    optimizer("the root is missing", "adagrad:Adagrad.update", 'sqrt(state["sum"])',
              'state["sum"]', "Adagrad"),
    optimizer("eps outside the root", "adagrad:Adadelta.update", "sqrt(s + eps)",
              "(sqrt(s) + eps)", "Adadelta"),
    optimizer("no rectification", "adam:RAdam.update", "rho > 5", "False", "RAdam"),
    Fault("maximize is forgotten", "tinygrad_ai.optim.optimizer:Optimizer.step",
          'if group.get("maximize")', "if False",
          rf"{OPTIM}::test_fifty_steps_like_pytorch\[(SGD|Adam)-\d+\]"),
    Fault("zero_grad keeps the gradients", "tinygrad_ai.optim.optimizer:Optimizer.zero_grad",
          "None if set_to_none else zeros_like(p.grad)", "p.grad",
          rf"{OPTIM}::test_fifty_steps_like_pytorch\[SGD-\d+\]"),
    Fault("a schedule is one epoch late", "tinygrad_ai.optim.schedule:StepLR.get_lr",
          "self.last_epoch % self.step_size == 0", "self.last_epoch % self.step_size == 1",
          rf"{OPTIM}::.*StepLR"),
]  # fmt: skip

LAYERS = [
    layer("mse_loss: sum for mean", "functional.loss:mse_loss",
          "_weighted(d * d, weight, reduction)",
          '_weighted(d * d, weight, "sum")', rf"{OPS}::test_value\[\w+-[\w.]*mse_loss-\d+\]"),
    layer("huber_loss: the half is missing", "functional.loss:huber_loss", "0.5 * d * d", "d * d",
          rf"{OPS}::test_value\[\w+-[\w.]*huber_loss-\d+\]"),
    layer("binary cross entropy: targets swapped",
          "functional.loss:binary_cross_entropy_with_logits", "(1 - target) * input",
          "target * input", rf"{OPS}::test_value\[\w+-[\w.]*entropy_with_logits-\d+\]"),
    layer("cross entropy: smoothing over one class less", "functional.classification:_smoothed",
          "return (1 - smoothing) * chosen + smoothing / x.shape[1] * spread",
          "return (1 - smoothing) * chosen + smoothing / (x.shape[1] - 1) * spread",
          rf"{OPS}::test_value\[\w+-[\w.]*cross_entropy-\d+\]"),
    layer("nll_loss: the weights are forgotten", "functional.classification:nll_loss",
          "weights_of(x, labels, weight, ignore_index)",
          "weights_of(x, labels, None, ignore_index)",
          rf"{OPS}::test_value\[\w+-[\w.]*nll_loss-\d+\]"),
    layer("batch_norm: off by one eps", "functional.normalization:batch_norm",
          "rsqrt(_channels(v, n) + eps)", "rsqrt(_channels(v, n) + 2 * eps)",
          rf"{OPS}::test_value\[\w+-[\w.]*batch_norm-\d+\]"),
    layer("batch_norm: the running variance is biased", "functional.normalization:batch_norm",
          "v.detach() * (count / (count - 1))", "v.detach()",
          rf"{MODULES}::test_like_pytorch\[.*BatchNorm"),
    layer("batch_norm: the other variance", "functional.normalization:batch_norm",
          "correction=0", "correction=1", rf"{OPS}::test_value\[\w+-[\w.]*batch_norm-\d+\]"),
    layer("rms_norm: the square is missing", "functional.normalization:rms_norm",
          "mean(x * x, dims, True)", "mean(x, dims, True)",
          rf"{OPS}::test_value\[\w+-[\w.]*rms_norm-\d+\]"),
    layer("attention: scaled by d, not by its root",
          "functional.attention:scaled_dot_product_attention",
          "1 / math.sqrt(query.shape[-1])", "1 / query.shape[-1]",
          rf"{OPS}::test_value\[\w+-[\w.]*scaled_dot_product_attention-\d+\]"),
    layer("LSTM: gates swapped", "rnn:lstm_step", "sigmoid(f) * c + sigmoid(i)",
          "sigmoid(i) * c + sigmoid(f)", rf"{MODULES}::test_like_pytorch\[.*LSTM"),
    layer("Linear: the initial bound", "linear:Linear.reset_parameters",
          "1 / math.sqrt(self.in_features)", "math.sqrt(6 / self.in_features)",
          rf"{MODULES}::test_default_initialisation"),
    layer("clip_grad_norm_: also enlarges", "utils.clip:clip_grad_norm_", "max=1.0", "max=2.0",
          rf"{MODULES}::test_clip_and_vectors"),
]  # fmt: skip

FAULTS = [*RULES, *WALK, *OPTIMIZERS, *LAYERS]
