"""Implement ``affekt finetune``: adapt a model to a user's own labelled recordings."""

from pathlib import Path
from typing import Annotated

from affekt.commands import options
from affekt.commands.options import argument, option
from affekt.commands.output.printing import sigterm_as_ctrl_c, with_progress


def finetune(
    table: Annotated[
        Path,
        argument(
            "TABLE", "CSV or Parquet: file, label, speaker. Or a manifest, or folders by label."
        ),
    ],
    output: options.NewModel = Path("model.onnx"),
    model: Annotated[
        str, option("FILE|NAME", "Model to start from (default: affekt).", "--model")
    ] = "affekt",
    label: options.Labels = None,
    column: options.Columns = None,
    speaker: options.SpeakerPattern = "",
    seed: Annotated[int, option("N", "Seed of the random numbers (default: 0).", min=0)] = 0,
) -> None:
    """Adapt a model to your own labelled recordings.

    The labels may be any names, two or more, each with recordings of two or more speakers. If all
    recordings are of one speaker, each label needs two recordings. The output is a model file, and
    a model card with scores on held-out speakers or recordings.
    """
    from affekt.experiments.finetuning import finetune as adapt

    options.refuse_output(output, table, model)
    labels, columns = options.own_names(label, column)
    with sigterm_as_ctrl_c():  # which removes temporary files
        made = adapt(
            table,
            output,
            model=model,
            labels=labels,
            columns=columns,
            speaker=speaker,
            seed=seed,
            watch=with_progress,
        )
    one = made.speakers == 1
    with_profile = f", {made.uar_enrolled} with" if made.uar_enrolled else ""
    print(
        f"{made.file}: {', '.join(made.labels)}; {made.clips} clips, {made.speakers} "
        f"speaker{'' if one else 's'}; model card: {made.card}"
    )
    print(
        f"UAR on held-out {'recordings of the only speaker' if one else 'speakers'}: "
        f"{made.uar} without enrolment{with_profile}; "
        f"chance {1 / len(made.labels):.3f}"
    )
    if one:
        print("UAR on other speakers: not known. To know it, add recordings of a second speaker.")
