"""What lint and watch must not say, and what they are given besides."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.errors import ArgumentError, InplaceError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import explain, lint, record, watch, why
from tinygrad_ai.train import Trainer, TrainingArguments
from tinygrad_ai.train.config import Config
from tinygrad_ai.train.images import load_images
from tinygrad_ai.train.loop import Loop
from tinygrad_ai.utils.checkpoint import checkpoint


def net() -> tuple[Any, Any, Any, Any]:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    return model, optimizer, ta.randn(32, 8), ta.randint(3, (32,))


LOSSES: list[Any] = [
    lambda x, y: F.cross_entropy(x, y),
    lambda x, y: F.nll_loss(F.log_softmax(x, 1), y),
    lambda x, y: -F.log_softmax(x, 1)[ta.arange(32), y].mean(),
    lambda x, y: F.binary_cross_entropy_with_logits(x, F.one_hot(y, 3).float()),
    lambda x, y: F.binary_cross_entropy(x.sigmoid(), F.one_hot(y, 3).float()),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_checkpointed_loss(loss: Any) -> None:
    model, optimizer, x, y = net()

    def step() -> Any:
        return checkpoint(lambda x: loss(model(x), y), x)

    assert not lint(step(), model, optimizer)
    with watch(model, optimizer) as report:
        for _ in range(2):
            optimizer.zero_grad()
            step().backward()
            optimizer.step()
    assert not report, str(report)


def test_gradients_that_are_set_are_no_sums() -> None:
    model, optimizer, x, y = net()
    with watch(model, optimizer) as report:
        for _ in range(3):
            grads = ta.grad(F.cross_entropy(model(x), y), list(model.parameters()))
            for p, g in zip(model.parameters(), grads):
                p.grad = g
            optimizer.step()
    assert not report, str(report)


def test_sums_are_found_with_create_graph_too() -> None:
    model, optimizer, x, y = net()
    with watch(model, optimizer) as report:
        for _ in range(3):
            F.cross_entropy(model(x), y).backward(create_graph=True)
            optimizer.step()
    assert report.codes == ["TG001"], str(report)


def test_a_gradient_penalty_reaches_no_last_bias() -> None:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    with watch(model, optimizer) as report:
        for _ in range(3):
            optimizer.zero_grad()
            x = ta.randn(16, 8, requires_grad=True)
            (g,) = ta.grad(model(x).sum(), x, create_graph=True)
            ((g.norm(dim=1) - 1) ** 2).mean().backward()
            optimizer.step()
    assert [f.message for f in report] == ["the loss does not reach 2.bias"]


def test_a_gradient_of_the_inputs_is_no_training() -> None:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.1), nn.Linear(16, 3))
    optimizer, x, y = optim.SGD(model.parameters(), lr=0.01), ta.randn(32, 8), ta.randint(3, (32,))
    seen = []
    with watch(model, optimizer) as report:
        for _ in range(5):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            model.eval()
            looked_at = x.clone().requires_grad_()
            seen.append(model(looked_at).softmax(1).log().sum())
            ta.grad(seen[-1], looked_at, retain_graph=True)
    assert not report, str(report)


def test_samples_that_are_contrasted_are_no_classes() -> None:
    model, optimizer, x, _ = net()
    z = F.normalize(model(x), dim=1)
    assert not lint(F.cross_entropy(z @ z.T / 0.1, ta.arange(32)), model, optimizer)


def test_tools_inside_of_others_are_not_seen() -> None:
    model, optimizer, x, y = net()
    before = []
    with watch(model, optimizer) as report, record() as calls:
        for _ in range(3):
            loss = F.cross_entropy(model(x), y)
            before.append(len(calls.calls))
            for _ in range(4):
                lint(loss, model, optimizer)
                explain(loss, model)
                why(model[0].weight, optimizer, loss=loss, model=model)
            assert len(calls.calls) == before[-1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert not report, str(report)


def test_watch_takes_a_loop() -> None:
    loop = Loop(Config(epochs=1, hidden=16), load_images(None))
    with watch(loop) as report:
        for images, labels in list(loop.batches())[:3]:
            loop.step(images * 255, labels)
    assert report.steps == 3 and report.codes == ["TG012"]


def test_watch_takes_a_trainer(tmp_path: Any) -> None:
    class Scored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()[0]

        def forward(self, x: Any, labels: Any) -> Any:
            return {"loss": F.cross_entropy(self.net(x).softmax(1), labels)}

    _, _, x, y = net()
    args = TrainingArguments(output_dir=str(tmp_path), num_train_epochs=1, disable_tqdm=True,
                             per_device_train_batch_size=8, report_to="none")  # fmt: skip
    data = [{"x": x[i], "labels": y[i]} for i in range(32)]
    trainer = Trainer(model=Scored(), args=args, train_dataset=data)
    with watch(trainer) as report:
        trainer.train()
    assert report.steps == 4 and report.codes == ["TG002"], str(report)


def test_errors_are_clear() -> None:
    model, optimizer, x, y = net()
    with pytest.raises(ArgumentError, match=r"expected an optimizer .*\n  fix: watch\(model, opt"):
        watch(model)
    for wrong in (None, 3, "loop", optimizer):
        with pytest.raises(ArgumentError, match="a model and an optimizer, or a loop that has"):
            watch(wrong)
    loss = F.cross_entropy(model(x), y)
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(InplaceError, match=r"fix: look before optimizer.step\(\)"):
        lint(loss * 1, optimizer=optim.SGD([ta.ones(1, requires_grad=True)]))
