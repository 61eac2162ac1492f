"""Heads: a sequence of steps to the answer after each window of them.

Every head is causal and keeps a running state of fixed size: the answer after window ``i``
depends on windows up to ``i``. So padding after the end never changes an answer, a stream needs
no memory of the past, and training, export and streaming share the one ``forward``.

The whole CNN gives one step a window, its embedding; a cut one gives several.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from affekt.model.loudness import fading_sums
from affekt.model.transformer import TransformerHead

State = Mapping[str, Tensor]

SILENT = 1e-6  # shares of speech that stand for none: no division by zero
HIGHEST = 5.0  # score of a step
SMALLEST = 1e-5  # variance, where the gradient of its root is still finite


class Head(Protocol):
    """What the classifier asks of a head (an ``nn.Module``)."""

    #: Name and shape of each state tensor, without the axis of clips; zeros at the start.
    state: dict[str, tuple[int, ...]]
    #: The last layer; what it is given is the network's activation of a clip.
    classes: nn.Linear

    def __call__(
        self, steps: Tensor, shares: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Answer after each window.

        Args:
            steps: ``(clips, windows, steps, features)``.
            shares: ``(clips, windows, steps)`` in [0, 1]: how much of each step is speech.
            state: what the head returned for the windows before; each ``(clips, *shape)``.

        Returns:
            Logits ``(clips, windows, labels)``, and the state after the last window.
        """


class LSTMHead(nn.Module):
    """The paper's head: two LSTM layers of 150 units, then the classes.

    Initialized as the authors' MATLAB does: Glorot input weights, orthogonal recurrent weights,
    forget bias 1.

    Source: paper, section II-C; MATLAB ``lstmLayer``.
    """

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        steps: int = 1,
        keep: float = 1.0,
        units: int = 150,
        layers: int = 2,
    ) -> None:
        super().__init__()
        del steps, keep  # it learns what to forget
        self.state = {"hidden": (layers, units), "cell": (layers, units)}
        self.lstm = nn.LSTM(features, units, layers, batch_first=True)
        self.classes = nn.Linear(units, labels)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                for gate in parameter.data.chunk(4):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(parameter)
                if name.startswith("bias_ih"):
                    parameter.data[units : 2 * units] = 1.0  # gates stand in order i, f, g, o
        nn.init.xavier_uniform_(self.classes.weight)
        nn.init.zeros_(self.classes.bias)

    def forward(
        self, steps: Tensor, shares: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        before = (
            state["hidden"].transpose(0, 1).contiguous(),
            state["cell"].transpose(0, 1).contiguous(),
        )
        outputs, (hidden, cell) = self.lstm(steps.flatten(1, 2), before)
        after = {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
        every = shares.shape[2]
        return self.classes(outputs[:, every - 1 :: every]), after


class MeanHead(nn.Module):
    """The mean of all steps so far, then the classes: the LSTM's yardstick.

    Each step weighs as much as it is speech; older windows fade from the mean.
    """

    def __init__(self, features: int, labels: int, *, steps: int = 1, keep: float = 1.0) -> None:
        super().__init__()
        del steps
        self.keep = keep
        self.state = {"sum": (features,), "count": (1,)}
        self.classes = nn.Linear(features, labels)

    def forward(
        self, steps: Tensor, shares: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        sums = fading_sums((steps * shares[..., None]).sum(2), state["sum"], self.keep)
        counts = fading_sums(shares.sum(2, keepdim=True), state["count"], self.keep)
        means = sums / counts.clamp_min(SILENT)
        return self.classes(means), {"sum": sums[:, -1], "count": counts[:, -1]}


class StatisticsHead(nn.Module):
    """Attentive statistics: weighted mean and deviation of a projection, then the classes.

    Each unit of the projection has weights of its own over the steps, learned, times how much
    of a step is speech. The sums that mean and deviation are made of are the state; older
    windows fade from them, so that a voice is heard as it is now.

    Source: Okabe, Koshinaka & Shinoda, "Attentive statistics pooling for deep speaker
    embedding" (2018).
    """

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        steps: int = 1,
        keep: float = 1.0,
        units: int = 128,
        drop: float = 0.5,
    ) -> None:
        super().__init__()
        del steps
        self.keep = keep
        self.state = {"weight": (units,), "sum": (units,), "square": (units,)}
        self.projection = nn.Linear(features, units)
        self.attention = nn.Linear(units, units)
        self.dropout = nn.Dropout(drop)
        self.classes = nn.Linear(2 * units, labels)

    def forward(
        self, steps: Tensor, shares: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        units = nn.functional.relu(self.projection(steps))
        scores = HIGHEST * torch.tanh(self.attention(units) / HIGHEST)  # their exp stays small
        weights = scores.exp() * shares[..., None]
        sums = {
            "weight": weights.sum(2),
            "sum": (weights * units).sum(2),
            "square": (weights * units.square()).sum(2),
        }
        after = {name: fading_sums(each, state[name], self.keep) for name, each in sums.items()}
        weight = after["weight"].clamp_min(SILENT)
        mean = after["sum"] / weight
        deviation = (after["square"] / weight - mean.square()).clamp_min(SMALLEST).sqrt()
        pooled = self.dropout(torch.cat([mean, deviation], dim=-1))
        return self.classes(pooled), {name: each[:, -1] for name, each in after.items()}


HEADS = {
    "lstm": LSTMHead,
    "mean": MeanHead,
    "statistics": StatisticsHead,
    "transformer": TransformerHead,
}
