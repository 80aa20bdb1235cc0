import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import watch

ta.manual_seed(0)
model = nn.Linear(8, 3)
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(3, (16,))
scores = model(x)  # here
try:
    with watch(model, optimizer) as report:
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(scores, y).backward()
            optimizer.step()
except RuntimeError:  # a second backward pass through a graph that was freed
    pass
