import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import lint

ta.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), 2.0 * ta.randint(2, (16, 1)) - 1
loss = F.binary_cross_entropy(model(x), y)  # here
report = lint(loss, model, optimizer)
