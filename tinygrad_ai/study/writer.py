"""Writes the lines of a script for each node of a tape: first forward, then backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.outputs import PICK
from ..errors import GradError, GraphFreedError
from ..hooks import RETAIN
from ..tensor import Node, Tensor
from . import meaning
from .formula import Term
from .formula_text import NAMES, flat, numpy_code
from .script import Script, dtype_text, literal
from .tape import Tape


class Step:
    """One op of the tape: what its formulas' names are called in the script."""

    def __init__(self, node: Node, number: int, target: str) -> None:
        self.node, self.op, self.number, self.target = node, node.op, number, target
        self.several = bool(node.shape) and isinstance(node.shape[0], tuple)
        self.shapes = list(node.shape) if self.several else [node.shape]
        self.named: dict[str, str] = {}
        self.formulas: dict[str, Term] = {}
        self.given: dict[str, Any] = {}
        self.written: set[str] = set()
        self.axis, self.squeezed = "-1", False

    @property
    def results(self) -> list[str]:
        """The script's names of what the op gives."""
        if not self.several:
            return [self.target]
        return [f"{self.target}_{k}" for k in range(len(self.shapes))]

    def called(self, name: str) -> str:
        """A name of the formulas in the script; what is defined in them has the op's number."""
        return self.named.get(name, name)

    def code(self, term: Term, kept: bool = True) -> str:
        return numpy_code(term, self.axis, self.called, kept)

    def local(self, name: str, script: Script) -> str:
        """A name of its own for what the formulas define beside: with the op's number."""
        plain = NAMES.get(name, name)
        self.named[plain] = script.name(f"{plain}{self.number}")
        return self.named[plain]


class Writer:
    """Goes over a tape twice."""

    def __init__(self, tape: Tape, script: Script) -> None:
        self.tape, self.script = tape, script
        self.variables: dict[Node, str] = {}
        self.steps: dict[Node, Step] = {}
        self.gradients: set[str] = set()

    def write(self) -> None:
        self.script.say("forward")
        for node in self.tape.nodes:
            if node.op is None:
                self.leaf(node)
            elif node.op is PICK:
                base = self.steps[node.parents[0]]  # type: ignore[index]
                self.variables[node] = base.results[node.attrs["index"]]
            else:
                self.forward(node)
        last = self.variables[self.tape.loss.node]  # type: ignore[index]
        if last != "loss":
            self.script.assign("loss", last, "loss")
        self.script.lines.append("")
        self.script.say("backward")
        one = f"{literal(self.tape.loss.shape)}, dtype={dtype_text(self.tape.loss.array)}"
        self.script.assign(f"g{last}", f"np.ones({one})", "loss")
        self.gradients.add(f"g{last}")
        for node in reversed(self.tape.nodes):
            if node in self.steps:
                self.backward(self.steps[node])
        leaves = [n for n in self.tape.nodes if n.op is None]
        pairs = [(self.tape.names[n], f"g{self.variables[n]}") for n in leaves]
        inside = ", ".join([f'"{n}": {g}' for n, g in pairs if g in self.gradients])
        self.script.lines += ["", f"gradients = {{{inside}}}"]

    def leaf(self, node: Node) -> None:
        name = self.tape.names[node]
        if node not in self.tape.arrays:
            raise missing(f"the value of the leaf {name} of shape {node.shape}")
        self.check_hooks(node)
        self.variables[node] = self.script.array(self.tape.arrays[node], name)

    def check_hooks(self, node: Node) -> None:
        if any([h is not RETAIN for h in (node.hooks or {}).values()]):
            raise GradError(
                f"a hook of yours at {node.name()} changes gradients, which no formula says",
                "take it out with handle.remove()",
            )

    # ---- forward

    def forward(self, node: Node) -> None:
        if not isinstance(node.op, Op):
            raise meaning.unreadable(node.op)
        self.check_hooks(node)
        number = len(self.steps) + 1
        last = node is self.tape.loss.node
        step = Step(node, number, "loss" if last else self.script.name(f"y{number}"))
        self.steps[node], self.variables[node] = step, step.target
        self.inputs(step)
        self.settings(step)
        step.formulas = meaning.of_call(step.op, step.given, at=step.named)
        wanted = self.wanted(step)
        first = len(self.script.lines)
        for key, term in meaning.ordered(step.formulas, wanted).items():
            self.define(step, key, term)
        self.comment(step, first)

    def wanted(self, step: Step) -> list[str]:
        """The results that somebody uses: other ops, or the op's own gradients."""
        found = meaning.outputs(step.formulas)
        if found == ["y"]:
            return found
        picks = [n for n in self.tape.nodes if n.op is PICK and n.parents[0] is step.node]
        used = {f"y[{n.attrs['index']}]" for n in picks}
        for key, term in step.formulas.items():
            used |= set() if meaning.is_output(key) else meaning.names(term)
        return [key for key in found[: len(step.shapes)] if key in used]

    def inputs(self, step: Step) -> None:
        """Names of the op's inputs: variables of the script, constants, or numbers."""
        op, node = step.op, step.node
        call = self.tape.calls.get(node)
        values = list(call.args) if call and len(call.args) == len(node.parents) else None
        names = op.inputs if op.inputs != ("xs",) else ["xs"] * len(node.parents)
        texts = []
        for i, name in enumerate(names):
            parent = node.parents[i] if i < len(node.parents) else None
            if parent is not None:
                value: Any = self.script.space[self.variables[parent]]
                texts.append(self.variables[parent])
            else:
                value = self.constant(step, i, name, values)
                texts.append(self.written_constant(value, name))
            step.given[name] = value
            step.named[f"{name}_shape"] = literal(np.shape(value)) or ""
            if hasattr(value, "dtype"):
                step.named[f"{name}_dtype"] = literal(value.dtype) or ""
        if op.inputs == ("xs",):
            step.given["xs"] = ()
            step.named["xs"] = f"({', '.join(texts)},)"
        else:
            step.named.update(zip(op.inputs, texts))

    def constant(self, step: Step, i: int, name: str, values: list[Any] | None) -> Any:
        """An input without gradient: from the call, or from what the rule kept."""
        if i >= len(step.node.parents):
            return None
        if values is not None:
            return values[i].array if isinstance(values[i], Tensor) else values[i]
        if step.node.saved is None:
            raise GraphFreedError(
                f"what {step.node.name()} saved was freed by a backward pass",
                "to_source(function, *inputs), or inside `with study.record():`",
            )
        if name in step.op.keep and name != "xs":
            return step.node.saved[step.op.keep.index(name)]
        raise missing(f"the input {name} of {step.node.name()} at {step.node.where()}")

    def written_constant(self, value: Any, name: str) -> str:
        text = literal(value)
        if text is not None:
            return text
        return self.script.array(value, self.tape.variable(value) or name)

    def settings(self, step: Step) -> None:
        """Names of everything else in the formulas."""
        op, given = step.op, step.given
        shapes = [np.shape(given[n]) if given.get(n) is not None else None for n in op.inputs]
        found = meaning.settings(op, shapes, step.node.attrs)
        step.given.update({k: v for k, v in found.items() if k not in op.inputs})
        for name in (*op.attrs, "n"):
            step.named[name] = self.setting(found[name], name)
        axis = found["axis"]
        step.axis = str(axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis)
        step.named["axis"] = step.axis
        step.squeezed = found.get("keepdim") is False
        incoming = meaning.incoming(op)
        if step.several:
            step.named["y"] = f"({', '.join(step.results)},)"
            step.named.update({f"y[{k}]": name for k, name in enumerate(step.results)})
            step.named.update({f"{incoming}[{k}]": f"g{n}" for k, n in enumerate(step.results)})
        else:
            partly = step.squeezed and step.node.shape != ()
            wrap = f"np.expand_dims({{}}, {step.axis})" if partly else "{}"
            step.named["y"] = wrap.format(step.target)
            step.named[incoming] = wrap.format(f"g{step.target}")

    def setting(self, value: Any, name: str) -> str:
        """A setting in the script; arrays inside of an index are constants of their own."""
        text = literal(value)
        if text is not None:
            return text
        if isinstance(value, (tuple, list)):
            return "(" + "".join([self.setting(v, name) + ", " for v in value]).rstrip() + ")"
        if hasattr(value, "shape"):
            return self.script.array(value, self.tape.variable(value) or name)
        return repr(value)

    def define(self, step: Step, key: str, term: Term) -> None:
        """A line for one definition of the forward."""
        step.written.add(key)
        if not meaning.is_output(key):
            code = step.code(term)
            self.script.assign(step.local(key, self.script), code, step.op.name)
        elif key != "y":
            k = int(key[2:-1])
            self.shaped(step.results[k], step.code(term), step.shapes[k], step)
        elif step.several:
            self.script.assign(", ".join(step.results), step.code(term), step.op.name)
        elif step.squeezed and not flat(term, {*step.op.attrs, "n"}):
            code = f"np.squeeze({step.code(term)}, {step.axis})"
            self.shaped(step.target, code, step.node.shape, step)
        else:
            code = step.code(term, not step.squeezed)
            if step.node.shape == ():
                code = code.replace(f", axis={step.axis})", ")") if step.squeezed else code
            self.shaped(step.target, code, step.node.shape, step)

    def shaped(self, target: str, code: str, shape: Any, step: Step) -> None:
        if np.shape(self.script.value(code, step.op.name)) != shape:
            code = f"np.broadcast_to({code}, {literal(shape)})"
        self.script.assign(target, code, step.op.name)

    def comment(self, step: Step, first: int) -> None:
        """Says behind the first line of an op where it comes from."""
        if first >= len(self.script.lines):
            return
        path = self.tape.path(step.node)
        place = step.node.where().rpartition("/")[2] if step.node.place else ""
        words = [step.op.name, *([path] if path else []), *([place] if place else [])]
        self.script.lines[first] += f"  # {', '.join(words)}"

    # ---- backward

    def backward(self, step: Step) -> None:
        names = [f"g{name}" for name in step.results]
        if not any([g in self.gradients for g in names]):
            return
        op, incoming = step.op, meaning.incoming(step.op)
        absent = [f"{incoming}[{k}]" for k in range(4) if step.several]
        absent = [a for k, a in enumerate(absent) if names[k : k + 1] == [] or
                  names[k] not in self.gradients]  # fmt: skip
        if step.several:
            zeros = [g if g in self.gradients else f"np.zeros({literal(s)})"
                     for g, s in zip(names, step.shapes)]  # fmt: skip
            step.named[incoming] = f"({', '.join(zeros)},)"
        formulas = meaning.of_call(op, step.given, absent, at=step.named)
        wanted = {f"g{n}": p for n, p in zip(op.inputs, step.node.parents) if p is not None}
        several_inputs = op.inputs == ("xs",)
        order = meaning.ordered(formulas, ["gxs"] if several_inputs else list(wanted))
        first = len(self.script.lines)
        used = {n for t in order.values() for n in meaning.names(t)}
        for key, term in order.items():
            if meaning.is_output(key) or key in step.written:
                continue
            if key not in wanted or key in used or several_inputs:
                code = step.code(term)
                self.script.assign(step.local(key, self.script), code, op.name)
            if key in wanted and not several_inputs:
                code = step.called(key) if key in used else step.code(term)
                self.deliver(wanted[key], code, op.name)
        if several_inputs:
            for i, parent in enumerate(step.node.parents):
                if parent is not None:
                    self.deliver(parent, f"{step.called('gxs')}[{i}]", op.name)
        self.comment(step, first)

    def deliver(self, parent: Node, code: str, what: str) -> None:
        """Adds what a rule gave to the gradient of an input, in the input's shape."""
        name, shape = f"g{self.variables[parent]}", parent.shape
        given = np.shape(self.script.value(code, what))
        if code == "0":
            code = f"np.zeros({literal(shape)})"
        elif given != shape:
            code = self.fitted(code, given, shape)
        if name in self.gradients:
            code = f"{name} + {code}"
        self.script.assign(name, code, what)
        self.gradients.add(name)

    def fitted(self, code: str, given: Any, shape: Any) -> str:
        """As the walk does: broadcast to a shape, or summed to it."""
        try:
            if np.broadcast_shapes(given, shape) == tuple(shape):
                return f"np.broadcast_to({code}, {literal(shape)})"
        except ValueError:
            pass
        lead = len(given) - len(shape)
        if lead < 0:
            return f"({code}).reshape({literal(shape)})"
        if given[lead:] == tuple(shape):
            return f"np.sum({code}, axis={0 if lead == 1 else tuple(range(lead))})"
        both = np.broadcast_shapes(given, shape)
        wide = code if both == given else f"np.broadcast_to({code}, {literal(both)})"
        return f"sum_to({wide}, {literal(shape)})"


def missing(what: str) -> GradError:
    return GradError(
        f"the tape did not keep {what}",
        "to_source(function, *inputs), or call it inside `with study.record():`",
    )
