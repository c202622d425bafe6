"""The one training loop: clock, learning rate, weight average, checkpoints, log and threads.

A new training is a dataclass of options that derives from `RunOptions` (in `options`), and a
`Trainer` (in `trainer`) that says what is learned from which loss::

    class Tower(Trainer):
        def build(self):
            self.network = nn.Linear(512, 512)
            self.optimisers = [torch.optim.AdamW(self.network.parameters())]
            self.data = Pairs(self.options.data)

        def batches(self, start):
            yield from self.data.batches(start)

        def loss(self, batch, done):
            return F.mse_loss(self.network(batch.texts), batch.images)

    Tower(options).run()
"""
