"""Implement ``affekt export``: find a trained network, then write it as a model file."""

from pathlib import Path
from typing import Annotated

import typer

from affekt.commands.options import option, refuse_output


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, or of one of its folds.")
    ],
    output: Annotated[
        Path, option("FILE", "Model file to write (default: model.onnx).", "-o", "--output")
    ] = Path("model.onnx"),
    fold: Annotated[int | None, option("N", "Fold to export, if several are trained.")] = None,
    name: Annotated[
        str | None, option("NAME", "Name of the model (default: name of the file).")
    ] = None,
    precision: Annotated[
        str, option("NAME", "Of the weights: float16 (default), or float32 (twice the size).")
    ] = "float16",
    calibrate: Annotated[
        list[Path] | None,
        option("RUN", "Run whose test predictions calibrate the probabilities; repeatable."),
    ] = None,
) -> None:
    """Export a trained network to an ONNX model file.

    The export fails if the file and the network give different probabilities.
    """
    from rich.console import Console

    from affekt.model.export import export as write
    from affekt.model.export import find_network

    refuse_output(output)
    network = find_network(run, fold)
    temperature = temperature_enrolled = 1.0
    if calibrate:
        from affekt.evaluation.calibration import pooled_temperatures

        temperature, temperature_enrolled = pooled_temperatures(calibrate)
    with Console(stderr=True).status(f"exporting {network}"):
        difference = write(
            network,
            output,
            name=name or output.stem,
            precision=precision,
            temperature=temperature,
            temperature_known=temperature_enrolled,
        )
    size = output.stat().st_size
    print(f"{output}: {size:,} bytes; largest difference from {network}: {difference:.1g}")
