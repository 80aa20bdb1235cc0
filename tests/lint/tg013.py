import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import lint

ta.manual_seed(0)
model = nn.Linear(8, 1)
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randn(16, 1).double()  # as NumPy makes them
loss = F.mse_loss(model(x), y)  # here
report = lint(loss, model, optimizer)
