"""Implement ``affekt export``: find a trained network, then write it as a model file."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, or of one of its folds.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Model file to write.")
    ] = Path("model.onnx"),
    fold: Annotated[
        int | None, typer.Option(metavar="N", help="Fold to export, if several are trained.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the model (default: of the file).")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="float16 (half the size of float32), float32, or int8 (twice as fast).",
        ),
    ] = "float16",
    recordings: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Training recordings that calibrate int8."),
    ] = None,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="Cross-validation run whose test predictions calibrate the probabilities; "
            "may be repeated.",
        ),
    ] = None,
) -> None:
    """Export a trained network to an ONNX model file.

    The export fails if the file and the network give different probabilities.
    """
    from rich.console import Console

    from affekt.model.export import export as write
    from affekt.model.export import find_network

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
            recordings=recordings,
            temperature=temperature,
            temperature_known=temperature_enrolled,
        )
    size = output.stat().st_size
    print(f"{output}: {size:,} bytes; largest difference from {network}: {difference:.1g}")
