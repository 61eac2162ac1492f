"""Define the heads: networks from a sequence of steps to the logits after each window.

Every head is causal and has a state of fixed size: the logits after window ``i`` depend on windows
up to ``i``. So padding after the end changes nothing, a stream keeps nothing but the state, and
training, export and streaming share the one ``pool``.

A head gives one answer for each of its time constants: the first over all the sound so far, a
second one, if there is any, over the last few seconds.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from affekt.errors import ModelError
from affekt.model.loudness import State, decaying_sums

SILENT = 1e-6  # smallest weight of speech: no division by zero
HIGHEST = 5.0  # bound of an attention score
SUMS = ("weight", "sum", "square")  # of a statistics head
SMALLEST = 1e-5  # variance: keeps the gradient of its root finite


class Head(Protocol):
    """Interface of a head, which is an ``nn.Module``."""

    #: Name and shape of each state tensor, without the axis of clips; zeros at the start.
    state: dict[str, tuple[int, ...]]
    #: The last layer: pooled features ``(..., features)`` to logits ``(..., labels)``, or those of
    #: each head of an ensemble in training ``(..., ensemble_size, labels)``.
    classes: nn.Module

    def pool(self, steps: Tensor, shares: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Pool the features up to each window.

        Args:
            steps: ``(clips, windows, steps, features)``.
            shares: ``(clips, windows, steps)`` in [0, 1]: share of speech in each step.
            state: as returned for the windows before; each ``(clips, *shape)``.

        Returns:
            ``(clips, windows, answers, features)``, one answer for each time constant, and the
            state after the last window.
        """


class LSTMHead(nn.Module):
    """The paper's head: two LSTM layers of 150 units, then the classes.

    The paper names no initialization. This is MATLAB's, which the authors probably used: Glorot
    input weights, orthogonal recurrent weights, forget bias 1. MATLAB makes the whole recurrent
    matrix orthogonal; here each gate is.

    Source: paper, section II-C; MATLAB ``lstmLayer``.
    """

    decays = False

    def __init__(self, features: int, labels: int, *, decays_by: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        del decays_by  # an LSTM learns its own
        units, layers = 150, 2
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

    def pool(self, steps: Tensor, shares: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        before = tuple(state[name].transpose(0, 1).contiguous() for name in self.state)
        outputs, (hidden, cell) = self.lstm(steps.flatten(1, 2), before)
        after = {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
        every = shares.shape[2]
        return outputs[:, every - 1 :: every, None], after


class MeanHead(nn.Module):
    """The mean of all steps so far, then the classes: a baseline for the LSTM.

    Steps are weighted by their share of speech; the weights of older windows decay.
    """

    def __init__(self, features: int, labels: int, *, decays_by: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        (self.decay,) = decays_by
        self.state = {"sum": (features,), "count": (1,)}
        self.classes = nn.Linear(features, labels)

    def pool(self, steps: Tensor, shares: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        sums = decaying_sums((steps * shares[..., None]).sum(2), state["sum"], self.decay)
        counts = decaying_sums(shares.sum(2, keepdim=True), state["count"], self.decay)
        means = sums / counts.clamp_min(SILENT)
        return means[:, :, None], {"sum": sums[:, -1], "count": counts[:, -1]}


class Classes(nn.Module):
    """The last layers of an ensemble; in training, each has a loss of its own.

    Source: Lakshminarayanan, Pritzel & Blundell, "Simple and scalable predictive uncertainty
    estimation using deep ensembles" (2017), who take the mean of the probabilities.
    """

    def __init__(self, features: int, labels: int, ensemble_size: int) -> None:
        super().__init__()
        self.in_features = ensemble_size * features
        self.weight = nn.Parameter(torch.empty(ensemble_size, features, labels))
        self.bias = nn.Parameter(torch.zeros(ensemble_size, labels))
        nn.init.uniform_(self.weight, -(features**-0.5), features**-0.5)

    def forward(self, pooled: Tensor) -> Tensor:
        """Compute logits ``(..., labels)`` of pooled ``(..., ensemble_size * features)``.

        They are the mean over the ensemble; in training ``(..., ensemble_size, labels)``.
        """
        ensemble_size, features, _ = self.weight.shape
        of_heads = pooled.reshape(*pooled.shape[:-1], ensemble_size, 1, features)
        logits = (of_heads @ self.weight).squeeze(-2) + self.bias
        return logits if self.training and ensemble_size > 1 else logits.mean(dim=-2)


class StatisticsHead(nn.Module):
    """Attentive statistics: weighted mean and deviation of a projection, then the classes.

    Each unit of the projection has its own attention weights over the steps, multiplied by the
    share of speech in a step. The state holds the sums of mean and deviation, in which the weights
    of older windows decay: one set of sums for each time constant. The heads of an ensemble share
    nothing but their input.

    Source: Okabe, Koshinaka & Shinoda, "Attentive statistics pooling for deep speaker
    embedding" (2018).
    """

    ensembles = True

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        decays_by: Sequence[float] = (1.0,),
        ensemble_size: int = 1,
    ) -> None:
        super().__init__()
        units = 128
        self.decays_by = dict(zip(("", "recent_"), decays_by, strict=False))
        self.ensemble_size = ensemble_size
        names = [f"{prefix}{name}" for prefix in self.decays_by for name in SUMS]
        self.state = dict.fromkeys(names, (ensemble_size, units))
        self.projection = nn.Linear(features, ensemble_size * units)
        self.attention = nn.Parameter(torch.empty(ensemble_size, units, units))
        nn.init.uniform_(self.attention, -(units**-0.5), units**-0.5)
        self.dropout = nn.Dropout(0.5)
        self.classes = Classes(2 * units, labels, ensemble_size)

    def pool(self, steps: Tensor, shares: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Head`."""
        units = nn.functional.relu(self.projection(steps))
        units = units.reshape(*units.shape[:3], self.ensemble_size, -1).transpose(2, 3)
        scores = HIGHEST * torch.tanh(units @ self.attention / HIGHEST)  # their exp stays small
        weights = scores.exp() * shares[:, :, None, :, None]
        sums = {
            "weight": weights.sum(3),
            "sum": (weights * units).sum(3),
            "square": (weights * units.square()).sum(3),
        }
        pooled: list[Tensor] = []
        after: State = {}
        for prefix, decay in self.decays_by.items():
            so_far = {
                name: decaying_sums(each, state[prefix + name], decay)
                for name, each in sums.items()
            }
            after |= {prefix + name: each[:, -1] for name, each in so_far.items()}
            weight = so_far["weight"].clamp_min(SILENT)
            mean = so_far["sum"] / weight
            deviation = (so_far["square"] / weight - mean.square()).clamp_min(SMALLEST).sqrt()
            pooled.append(torch.cat([mean, deviation], dim=-1).flatten(2))
        return self.dropout(torch.stack(pooled, dim=2)), after


#: The one place to register a head: its name in recipes, and its class.
HEADS: dict[str, Any] = {"lstm": LSTMHead, "mean": MeanHead, "statistics": StatisticsHead}


def decays(head: str) -> bool:
    """Whether a head has a time constant; its class says so by an attribute of this name."""
    return bool(getattr(HEADS[head], "decays", True))


def ensembles(head: str) -> bool:
    """Whether a head can be an ensemble; its class says so by an attribute of this name."""
    return bool(getattr(HEADS[head], "ensembles", False))


@torch.no_grad()
def check_head(
    name: str, head: Any, *, steps: int, features: int, labels: int, answers: int
) -> None:
    """Pool silence, and raise a ModelError unless the shapes are those of :class:`Head`."""

    def require(what: str, must: object, got: object) -> None:
        if got != must:
            raise ModelError(
                f"{what} of head {name!r} must have shape {must} for 2 clips of 3 windows. "
                f"Got {got}. Correct its class."
            )

    head.eval()  # draws no random numbers
    state = {each: torch.zeros(2, *shape) for each, shape in head.state.items()}
    pooled, after = head.pool(torch.zeros(2, 3, steps, features), torch.ones(2, 3, steps), state)
    require("pooled features", (2, 3, answers, pooled.shape[-1]), tuple(pooled.shape))
    require("logits", (2, 3, answers, labels), tuple(head.classes(pooled).shape))
    require("state", *({n: tuple(t.shape) for n, t in each.items()} for each in (state, after)))
    head.train()
