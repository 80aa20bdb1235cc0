import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import watch

ta.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
optimizer = optim.SGD(model.parameters(), lr=0.01)
model[2] = nn.Linear(16, 5)  # a new head, which the optimizer was never given
x, y = ta.randn(16, 8), ta.randint(5, (16,))
with watch(model, optimizer) as report:  # here
    for _ in range(3):
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
