import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import watch

ta.manual_seed(0)
bias = nn.Parameter(ta.randn(16, 8) / 8)
optimizer = optim.SGD([bias], lr=0.01)
h, y = ta.zeros(16, 8), ta.randn(16, 8)
with watch(None, optimizer) as report:
    for _ in range(3):
        optimizer.zero_grad()
        h = h + bias  # here
        F.mse_loss(h, y).backward(retain_graph=True)
        optimizer.step()
