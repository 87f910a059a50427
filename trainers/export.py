"""A trained Keras network becomes `member.h5`: a program of primitive operations and its arrays.

The operations are those of `submission/model.py`, which is all that ever runs a member. Arrays are
stored unfolded; kernels as float16 or int8 beside a float32 scale per output channel, the rest
(norms, biases, layer scales, constants: well under 1 % of a network) as float32.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cells.errors import ExportError
from cells.files import fingerprint, replacing_h5
from submission.model import FORMAT, SEAL
from trainers.counting import count_operations
from trainers.graph import functional, walk
from trainers.logits import last_softmax
from trainers.program import Program
from trainers.storage import Storage, pack_array


def to_program(network: keras.Model) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A functional network from images to logits or their softmax, as a program and its arrays.

    The program says how much it computes: `operations`, floating-point ones for one image.
    Raises ExportError for a layer that the runtime cannot express, naming layer, class and path,
    and for an end that is neither logits nor their softmax.
    """
    network = functional(network, network.name)
    shape = network.inputs[0].shape
    if len(network.inputs) != 1 or None in shape[1:]:
        raise ExportError(
            f"{network.name}: expected images of one size as the only input, got "
            f"{', '.join(str(each.shape) for each in network.inputs)}."
        )
    program = Program(network.name)
    outputs = walk(network, [0], program, network.name)
    logits, output = last_softmax(network, program, outputs)
    operations = count_operations(program.ops, program.arrays, shape)
    about = {"logits": logits, "output": output, "operations": operations}
    return {"ops": program.ops, **about}, program.arrays


def write_member(
    path: Path, network: keras.Model, attrs: dict[str, Any], storage: Storage = "float16"
) -> str:
    """Write member.h5 in one step; returns its fingerprint.

    attrs: name, run, fold, classes, image_px, data_fingerprint, recipe_fingerprint.
    storage: of the kernels; float16 is half the size, int8 a quarter.
    """
    program, arrays = to_program(network)
    text = json.dumps(program)
    depthwise = {step["arrays"]["kernel"] for step in program["ops"] if step["op"] == "depthwise"}
    kernels = {step["arrays"].get("kernel") for step in program["ops"]}
    packed = {
        key: pack_array(array, storage if key in kernels else "float32", key in depthwise)
        for key, array in arrays.items()
    }
    parts = [part.tobytes() for key in sorted(packed) for part in packed[key]]
    member_fingerprint = fingerprint(text, *parts)
    with replacing_h5(path, seal=SEAL) as file:
        file.attrs.update({**attrs, "classes": json.dumps(list(attrs["classes"]))})
        file.attrs.update({"kind": "member", "format": FORMAT})
        file.attrs["member_fingerprint"] = member_fingerprint
        file["program"] = text
        group = file.create_group("arrays")
        for key, stored in packed.items():
            if len(stored) == 1:
                group[key] = stored[0]
            else:
                group[f"{key}/values"], group[f"{key}/scale"] = stored
    return member_fingerprint
