"""The study 02_mapping: how layouts lay a layer on tiles, and how many tiles and reads whole networks need."""

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from memlib.base.checks import whole
from memlib.studies.drawing import Drawing
from memlib.studies.s02_mapping import drawn_layer, network_counts
from memlib.studies.shared.trained_networks import INPUT_SHAPE
from memlib.studies.study import Study, Values, networks, same
from memlib.zoo.checkpoints import manifest_entry


def _inputs(p: SimpleNamespace) -> dict[str, Any]:
    recipes = {checkpoint: manifest_entry(checkpoint)["recipe"] for checkpoint in p.checkpoints}
    layer = {"layer": asdict(drawn_layer.LAYER), "map_size": drawn_layer.MAP_SIZE}
    return {
        "networks": {name: {key: recipe[key] for key in ("network", "width")} for name, recipe in recipes.items()},
        "layouts": {name: asdict(mapping) for name, mapping in drawn_layer.LAYOUTS.items()},
        "input_shape": list(INPUT_SHAPE),
        "drawn": layer | {"tile": drawn_layer.DRAWN_TILE, "pixel": drawn_layer.PIXEL},
    }


def _requires(p: SimpleNamespace) -> None:
    for name in p.checkpoints:
        manifest_entry(name)
    for size in p.tile_sizes:
        whole("tile_sizes", size, 1)


STUDY = Study(
    name="02_mapping",
    parameters={
        "checkpoints": networks("resnet20", "vgg8"),
        "tile_sizes": Values([32, 64, 128, 256, 512], [32, 128, 512]),
        "claim_tile_size": same(128),
    },
    tables={
        "02_mapping_cells": drawn_layer.cell_lines,
        "02_mapping": drawn_layer.drawn_cells,
        "02_mapping_footprint": network_counts.totals_by_size,
        "02_mapping_windows": network_counts.claimed_layers,
        "02_mapping_totals": network_counts.claimed_totals,
    },
    drawings={
        "02_mapping": Drawing(drawn_layer.plot_layer, ("02_mapping_cells", "02_mapping")),
        "02_mapping_footprint": Drawing(network_counts.plot_counts, ("02_mapping_footprint",)),
    },
    claims={"02_mapping_footprint": network_counts.claims},
    requires=_requires,
    inputs=_inputs,
)
