"""alone: forward says something else of an image alone than among others"""

from torch import nn


class Mine(nn.Module):
    def __init__(self, spec, num_classes, timesteps):
        super().__init__()
        self.net = nn.Conv2d(spec.channels, spec.channels, 3, padding=1)
        self.level, self.label = nn.Embedding(100, 1), nn.Embedding(num_classes + 1, 1)

    def forward(self, x, t, labels):  # here
        told = self.level(t.long()) + self.label(labels + 1)
        return self.net(x - x.mean(0)) + told[..., None, None]


def lab_register(registry):
    registry.add("denoiser", "denoiser_mixes", Mine, summary="faulty")
