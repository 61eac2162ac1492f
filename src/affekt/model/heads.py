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
    classes: nn.Module

    def __call__(
        self, steps: Tensor, shares: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Answer after each window.

        Args:
            steps: ``(clips, windows, steps, features)``.
            shares: ``(clips, windows, steps)`` in [0, 1]: how much of each step is speech.
            state: what the head returned for the windows before; each ``(clips, *shape)``.

        Returns:
            Logits ``(clips, windows, labels)``, and the state after the last window; in training
            ``(clips, windows, members, labels)`` of a head of several members.
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


class Classes(nn.Module):
    """The last layer of several members: the mean of their logits, or in training each member's.

    Members learn apart, each by its own loss; their mean is right more often than one of them.

    Source: Lakshminarayanan, Pritzel & Blundell, "Simple and scalable predictive uncertainty
    estimation using deep ensembles" (2017), who take the mean of the probabilities.
    """

    def __init__(self, features: int, labels: int, members: int) -> None:
        super().__init__()
        self.in_features = members * features
        self.weight = nn.Parameter(torch.empty(members, features, labels))
        self.bias = nn.Parameter(torch.zeros(members, labels))
        nn.init.uniform_(self.weight, -(features**-0.5), features**-0.5)

    def forward(self, pooled: Tensor) -> Tensor:
        """``(..., members * features)`` to ``(..., labels)``, or ``(..., members, labels)``."""
        members, features, _ = self.weight.shape
        of_members = pooled.reshape(*pooled.shape[:-1], members, 1, features)
        logits = (of_members @ self.weight).squeeze(-2) + self.bias
        return logits if self.training and members > 1 else logits.mean(dim=-2)


class StatisticsHead(nn.Module):
    """Attentive statistics: weighted mean and deviation of a projection, then the classes.

    Each unit of the projection has weights of its own over the steps, learned, times how much
    of a step is speech. The sums that mean and deviation are made of are the state; older
    windows fade from them, so that a voice is heard as it is now. Several members share nothing
    but what they hear.

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
        members: int = 1,
        units: int = 128,
        drop: float = 0.5,
    ) -> None:
        super().__init__()
        del steps
        self.keep, self.members = keep, members
        self.state = dict.fromkeys(("weight", "sum", "square"), (members, units))
        self.projection = nn.Linear(features, members * units)
        self.attention = nn.Parameter(torch.empty(members, units, units))
        nn.init.uniform_(self.attention, -(units**-0.5), units**-0.5)
        self.dropout = nn.Dropout(drop)
        self.classes = Classes(2 * units, labels, members)

    def forward(
        self, steps: Tensor, shares: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        units = nn.functional.relu(self.projection(steps))
        units = units.reshape(*units.shape[:3], self.members, -1).transpose(2, 3)
        scores = HIGHEST * torch.tanh(units @ self.attention / HIGHEST)  # their exp stays small
        weights = scores.exp() * shares[:, :, None, :, None]
        sums = {
            "weight": weights.sum(3),
            "sum": (weights * units).sum(3),
            "square": (weights * units.square()).sum(3),
        }
        after = {name: fading_sums(each, state[name], self.keep) for name, each in sums.items()}
        weight = after["weight"].clamp_min(SILENT)
        mean = after["sum"] / weight
        deviation = (after["square"] / weight - mean.square()).clamp_min(SMALLEST).sqrt()
        pooled = self.dropout(torch.cat([mean, deviation], dim=-1)).flatten(2)
        return self.classes(pooled), {name: each[:, -1] for name, each in after.items()}


HEADS = {
    "lstm": LSTMHead,
    "mean": MeanHead,
    "statistics": StatisticsHead,
    "transformer": TransformerHead,
}
