"""A mapped network in a file: `save_network` and `load_network`."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model
from torch import nn

from memlib.base.files import replacing
from memlib.cells.device import Device
from memlib.chip.layer import AnalogLayer, analog_layer
from memlib.chip.network import AnalogNetwork, assemble, check_chip
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import float_copy, is_matrix_layer
from memlib.layers.recurrent import modes
from memlib.layers.tracing import first_line
from memlib.mapping.hardware import Hardware
from memlib.mapping.plan import LayerPlan
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.tiles.input_record import LayerInputs

#: Of the file's content; raised when old files cannot be read any more. Files of memlib 0.1 have none.
FORMAT = 2


def save_network(analog: AnalogNetwork, path: str | Path) -> None:
    """Write a mapped network to a safetensors file (no pickle): devices, converters' ranges, and any recalibration.

    Raises ValueError if the folder does not exist, and TypeError for what is no chip.
    """
    check_chip(analog)
    if not Path(path).parent.is_dir():
        raise ValueError(f"path={str(path)!r}: must be in a folder that exists")
    layers = {}
    for name, layer in analog.layers.items():
        inputs = layer.inputs and [layer.inputs.x_max, layer.inputs.signed]
        layers[name] = asdict(layer.hardware) | {"inputs": inputs, "full_scale": layer.full_scale, "sizes": layer.sizes}
        layers[name] |= {"geometry": repr(layer.geometry), "gain": layer.gain is not None}
    content = {"format": FORMAT, "seed": analog.seed, "layers": layers}
    content |= {"modes": modes(analog.network), "sha256": _checksum(analog)}
    content = json.loads(json.dumps(content, default=lambda number: number.item()))
    text = json.dumps(content | {"settings_sha256": _settings_checksum(content)})
    with replacing(Path(path)) as part:
        save_model(analog, str(part), metadata={"memlib": text})  # one key: safetensors writes several in any order


def _settings_checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _checksum(analog: AnalogNetwork) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(analog.state_dict().items()):
        digest.update(name.encode() + b"\0" + tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_network(model: nn.Module, path: str | Path) -> AnalogNetwork:
    """Read a network that `save_network` wrote; read noise starts from its beginning.

    Args:
        model: a float network of the same architecture; its weights do not matter.

    Raises:
        ValueError: if the file is damaged, of another program, or of another architecture.
    """
    try:
        with safe_open(path, "pt") as file:
            saved = json.loads(file.metadata()["memlib"])
        if (version := saved.get("format")) != FORMAT:
            other = f"another version of memlib (format {version})" if version else "memlib 0.1"
            raise ValueError(f"{path}: saved by {other}, whose tensors have other names; map the network again")
        digest = saved.pop("settings_sha256")
        if _settings_checksum(saved) != digest:  # before anything is built from it
            raise RuntimeError("the checksum of its hardware does not match")
        network = float_copy(model, saved["layers"])
        for name, mode in saved["modes"].items():
            if network.get_submodule(name).mode != mode:
                raise RuntimeError(f"layer {name!r} is {network.get_submodule(name).mode}, not {mode}")
        layers = {name: _saved_layer(network, name, entry, saved["seed"]) for name, entry in saved["layers"].items()}
        analog = assemble(network, layers, saved["seed"])
        load_model(analog, path)
        if _checksum(analog) != saved["sha256"]:
            raise RuntimeError("the checksum does not match")
    except FileNotFoundError:
        raise
    except (SafetensorError, json.JSONDecodeError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        why = "damaged, not saved by memlib, or of another network than `model`"
        raise ValueError(f"{path}: {why} ({first_line(error)})") from error
    return analog


def _saved_layer(network: nn.Module, name: str, entry: dict, seed: int) -> AnalogLayer:
    module = network.get_submodule(name)
    if not is_matrix_layer(module) or repr(Geometry.of(module)) != entry["geometry"]:
        raise RuntimeError(f"layer {name!r} differs")
    hardware = Hardware(Device(**entry["device"]), Tile(**entry["tile"]), Mapping(**entry["mapping"]))
    inputs = None
    if entry["inputs"]:
        x_max, signed = entry["inputs"]
        inputs = LayerInputs(x_max, signed, passes=torch.empty(0))
    sizes = tuple(tuple(size) for size in entry["sizes"])
    layer = analog_layer(module, LayerPlan(name, module, hardware, sizes), seed, inputs, entry["full_scale"])
    if entry["gain"]:  # of a recalibrated chip; its value is read with all others
        window = layer.placement.window
        layer.gain = module.weight.new_ones(window.geometry.outputs, *window.shape)
    return layer
