import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import lint

ta.manual_seed(0)
model = nn.Linear(8, 1)
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(2, (16, 1)).float()
loss = F.binary_cross_entropy_with_logits(model(x).sigmoid(), y)  # here
report = lint(loss, model, optimizer)
