"""A head of self-attention: each step looks back over the last seconds, at what matters to it.

Steps attend to all steps of their own window and of the ten before, nearer ones more (a bias that
falls with distance stands in for positions). What later windows look back at, the keys and values
of the last ten, is the state: of fixed size, for ever.

Source: Vaswani et al., "Attention is all you need" (2017); Press, Smith & Lewis, "Train short,
test long" (2022), for the bias.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

BACK = 10  # windows that are looked back at
FORBIDDEN = -1e4  # score of what must not be looked at; finite, so that no row is all infinite


class Attention(nn.Module):
    """One layer: attention over the last windows, then two linear maps, each added to its input."""

    def __init__(self, units: int, heads: int, drop: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(units), nn.LayerNorm(units)
        self.asked, self.told = nn.Linear(units, units), nn.Linear(units, 2 * units)
        self.joined = nn.Linear(units, units)
        self.wide, self.narrow = nn.Linear(units, 2 * units), nn.Linear(2 * units, units)
        self.dropout = nn.Dropout(drop)

    def forward(self, x: Tensor, past: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's output, and what the next windows look back at.

        Args:
            x: ``(clips, windows * steps, units)``.
            past: ``(clips, BACK * steps, 2 * units)`` keys and values of the windows before.
            bias: ``(clips, heads, windows * steps, (BACK + windows) * steps)``, added to scores.
        """
        normed = self.before(x)
        seen = torch.cat([past, self.told(normed)], dim=1)
        keys, values = seen.chunk(2, dim=2)
        query = self._split(self.asked(normed))
        scores = query @ self._split(keys).transpose(2, 3) / query.shape[3] ** 0.5 + bias
        looked = (scores.softmax(dim=3) @ self._split(values)).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.joined(looked))
        x = x + self.dropout(self.narrow(nn.functional.gelu(self.wide(self.between(x)))))
        return x, seen[:, -past.shape[1] :]

    def _split(self, x: Tensor) -> Tensor:
        clips, steps, units = x.shape
        return x.reshape(clips, steps, self.heads, units // self.heads).transpose(1, 2)


class TransformerHead(nn.Module):
    """Two layers of self-attention, the mean of a window's steps, then the classes.

    See :class:`~affekt.model.heads.Head`.
    """

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        steps: int,
        keep: float = 1.0,
        units: int = 128,
        layers: int = 2,
        heads: int = 4,
        drop: float = 0.3,
    ) -> None:
        super().__init__()
        del keep  # it learns what to look at
        self.steps = steps
        self.state = {
            **{f"past_{layer}": (BACK * steps, 2 * units) for layer in range(layers)},
            "heard": (1,),
        }
        self.projection = nn.Linear(features, units)
        self.layers = nn.ModuleList(Attention(units, heads, drop) for _ in range(layers))
        self.dropout = nn.Dropout(drop)
        self.classes = nn.Linear(units, labels)
        self.register_buffer("slopes", 2.0 ** -torch.arange(1.0, heads + 1), persistent=False)

    slopes: Tensor

    def forward(
        self, steps: Tensor, shares: Tensor, state: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`~affekt.model.heads.Head`."""
        x = self.projection(steps).flatten(1, 2)
        bias = self._bias(shares, state["heard"])
        after = {"heard": (state["heard"] + shares.shape[1]).clamp_max(BACK)}
        for number, layer in enumerate(self.layers):
            x, after[f"past_{number}"] = layer(x, state[f"past_{number}"], bias)
        means = x.unflatten(1, (-1, self.steps)).mean(dim=2)
        return self.classes(self.dropout(means)), {name: after[name] for name in self.state}

    def _bias(self, shares: Tensor, heard: Tensor) -> Tensor:
        """Nearer windows are favoured; later ones, too early ones and empty ones forbidden."""
        queries = torch.arange(shares.shape[1], device=shares.device)
        keys = torch.arange(-BACK, shares.shape[1], device=shares.device)
        distance = queries[:, None] - keys  # windows back
        allowed = (distance >= 0) & (distance <= BACK) & (keys >= -heard[:, :, None])
        falling = -self.slopes[:, None, None] * distance.clamp_min(0)
        bias = torch.where(allowed[:, None], falling, FORBIDDEN)
        return bias.repeat_interleave(self.steps, 2).repeat_interleave(self.steps, 3)
