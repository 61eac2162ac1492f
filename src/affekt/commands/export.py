"""Implement ``affekt export``: find a trained network, then write it as a model file."""

from pathlib import Path
from typing import Annotated

from affekt.commands.options import NewModel, argument, option, refuse_output


def export(
    run: Annotated[Path, argument("RUN", "Folder of a run, or of one of its folds.")],
    output: NewModel = Path("model.onnx"),
    fold: Annotated[int | None, option("N", "Fold to export, if several are trained.")] = None,
    name: Annotated[
        str | None, option("NAME", "Name of the model (default: name of the file).")
    ] = None,
    precision: Annotated[
        str, option("NAME", "Weights in float16 (default), or in float32 (twice the size).")
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

    from affekt.evaluation.calibration import pooled_temperatures
    from affekt.model.export import export as write
    from affekt.model.export import find_network

    refuse_output(output)
    network = find_network(run, fold)
    refuse_output(output, network)
    temperature, enrolled = pooled_temperatures(calibrate) if calibrate else (1.0, 1.0)
    with Console(stderr=True).status(f"exporting {network}"):
        difference = write(
            network,
            output,
            name=name or output.stem,
            precision=precision,
            temperature=temperature,
            temperature_known=enrolled,
        )
    size = output.stat().st_size
    print(f"{output}: {size:,} bytes; largest difference from {network}: {difference:.1g}")
