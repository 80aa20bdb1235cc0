import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import lint

ta.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
optimizer = optim.SGD(model[2].parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(3, (16,))
loss = F.cross_entropy(model(x), y)
report = lint(loss, model, optimizer)  # here
