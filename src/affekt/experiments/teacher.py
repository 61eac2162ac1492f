"""A teacher's answers to training clips, and the loss of a student that learns from them.

A teacher is a run whose recipe says ``teach = true``: each of its folds keeps the answers to the
clips it was trained on. A student's fold takes those of the same fold, once it is proven that both
divide the speakers alike, so that no teacher has heard whom its student is tested on.

Source: Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network" (2015).
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affekt.corpora.folds import Fold, read_folds
from affekt.corpora.manifest import Manifest
from affekt.errors import RunError
from affekt.evaluation.predictions import PROBABILITY, labels_of, read_predictions
from affekt.evaluation.runs import TRAINING, fold_name

LEAST = 1e-7  # probability: the file's six digits may round to none


def read_answers(
    teacher: Path, fold: Fold, manifest: Manifest, clips: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What a teacher answered to the training clips of a fold.

    Args:
        teacher: folder of its run, or of its kept results.
        fold: the student's.
        manifest: the student's.
        clips: ``(clips,)`` rows of the manifest that the student trains on.

    Returns:
        ``(clips, labels)`` probabilities, in the order of ``clips``.

    Raises:
        RunError: the teacher has not finished the fold, divided the speakers otherwise, or
            answered to other clips or with other labels.
        CorpusError: its folds cannot be read.
    """
    own = {each.number: each for each in read_folds(teacher / "folds.csv")}.get(fold.number)
    if own != fold:
        raise RunError(
            f"{teacher} must divide the speakers of fold {fold.number} as its student does. Got "
            f"another fold: it may have heard whom the student is tested on. Use the same corpus, "
            f"protocol, validation and seed."
        )
    path = teacher / fold_name(fold.number) / TRAINING
    if not path.is_file():
        raise RunError(
            f"{path} must hold a teacher's answers to training clips. Got nothing there. Run its "
            f"recipe with teach = true."
        )
    table = read_predictions(path).set_index("file")
    columns = [PROBABILITY + label for label in manifest.labels]
    taught = [manifest.clips[row] for row in clips]
    files = [manifest.names[row] for row in clips]
    if (
        set(table["fold"]) != {fold.number}
        or labels_of(table) != manifest.labels
        or set(table.index) != set(files)
        or table.loc[files, "truth"].tolist() != [clip.label for clip in taught]
    ):
        raise RunError(
            f"{path} must answer to the {len(files)} training clips of fold {fold.number}, as "
            f"{', '.join(manifest.labels)}. Got {len(table)} rows, some of them others. Use the "
            f"same corpus and task."
        )
    return table.loc[files, columns].to_numpy(np.float32)


def student_loss(
    logits: Tensor, labels: Tensor, answers: Tensor, *, share: float, temperature: float
) -> Tensor:
    """Loss of each clip: its label's, mixed with how far the student is from its teacher.

    ``(1 - share) * labels + share * T^2 * KL(teacher || student)``, both softened by the
    temperature T; its square gives both parts gradients of one size, whatever T.

    Args:
        logits: ``(clips, labels)`` of the student.
        labels: ``(clips,)`` cross-entropy of each with its label.
        answers: ``(clips, labels)`` probabilities of the teacher.
        share: of the teacher, in [0, 1].
        temperature: 1 compares the probabilities as they are; more looks at the small ones too.

    Returns:
        ``(clips,)``.
    """
    soft = (answers.clamp_min(LEAST).log() / temperature).log_softmax(dim=1)
    own = (logits / temperature).log_softmax(dim=1)
    apart = nn.functional.kl_div(own, soft, reduction="none", log_target=True).sum(dim=1)
    return torch.lerp(labels, temperature**2 * apart, share)
