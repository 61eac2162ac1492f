"""Heads: a sequence of embeddings to the answer after each of them.

Every head is causal and keeps a running state of fixed size: the answer after window ``i``
depends on windows up to ``i``. So padding after the end never changes an answer, a stream needs
no memory of the past, and training, export and streaming share the one ``forward``.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]


class Head(Protocol):
    """What the classifier asks of a head (an ``nn.Module``)."""

    #: Name and shape of each state tensor, without the axis of clips; zeros at the start.
    state: dict[str, tuple[int, ...]]
    #: The last layer; what it is given is the network's activation of a clip.
    classes: nn.Linear

    def __call__(self, embeddings: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Answer after each window.

        Args:
            embeddings: ``(clips, windows, features)``.
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

    def __init__(self, features: int, labels: int, *, units: int = 150, layers: int = 2) -> None:
        super().__init__()
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

    def forward(self, embeddings: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        before = (
            state["hidden"].transpose(0, 1).contiguous(),
            state["cell"].transpose(0, 1).contiguous(),
        )
        outputs, (hidden, cell) = self.lstm(embeddings, before)
        after = {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
        return self.classes(outputs), after


class MeanHead(nn.Module):
    """The mean of all embeddings so far, then the classes: the LSTM's yardstick."""

    def __init__(self, features: int, labels: int) -> None:
        super().__init__()
        self.state = {"sum": (features,), "count": (1,)}
        self.classes = nn.Linear(features, labels)

    def forward(self, embeddings: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        sums = state["sum"][:, None] + embeddings.cumsum(dim=1)
        counts = state["count"][:, None] + torch.ones_like(embeddings[:, :, :1]).cumsum(dim=1)
        return self.classes(sums / counts), {"sum": sums[:, -1], "count": counts[:, -1]}


HEADS = {"lstm": LSTMHead, "mean": MeanHead}
