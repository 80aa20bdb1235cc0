import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import watch

ta.manual_seed(0)
model = nn.Linear(8, 3)
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(3, (16,))
with watch(model, optimizer) as report:  # here
    for _ in range(3):
        F.cross_entropy(model(x), y).backward()
        optimizer.zero_grad()  # between backward and step
        optimizer.step()
assert "was gone before optimizer.step()" in report.findings[0].message
