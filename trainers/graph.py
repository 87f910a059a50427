"""From a functional graph to a program: its layers, its `keras.ops`, and models inside models.

What is followed is each call, not the layer: a layer that is called twice is expressed twice, with
its arrays stored once.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from cells.errors import ExportError
from trainers.operations import LAYERS, TAKES_INTEGERS
from trainers.program import Program, Shape, Unsupported, Value
from trainers.symbolic import SYMBOLIC, WRITTEN_OUT, Call


def walk(graph: Any, inputs: list[int], program: Program, path: str) -> list[int]:
    """Append the operations of a functional model or function; returns its outputs' numbers.

    graph: keras.Model or keras.Function. path: the models around it, by name.
    Raises ExportError for what the runtime cannot express, naming layer, class and path.
    """
    graph = functional(graph, path)
    values = dict(zip(map(id, graph.inputs), inputs, strict=True))
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                numbers = _call(node, values, program, f"{path}/{node.operation.name}")
                values.update(zip(map(id, node.output_tensors), numbers, strict=True))
    return [values[id(tensor)] for tensor in graph.outputs]


def functional(model: Any, path: str) -> Any:
    """The model itself, or a Sequential's functional model. Raises ExportError for another kind."""
    # a Sequential's is None until it knows its input
    graph = model._functional if isinstance(model, keras.Sequential) else model
    if not hasattr(graph, "_nodes_by_depth"):
        raise ExportError(
            f"{path}: expected a functional model, got {type(model).__name__}. "
            "Build it with keras.Model(inputs, outputs)."
        )
    return graph


def _call(node: Any, values: dict[int, int], program: Program, path: str) -> list[int]:
    """Append one call of a layer, an operation or a model; returns its outputs' numbers."""
    operation, tensors = node.operation, node.input_tensors
    given = [values[id(tensor)] for tensor in tensors]
    if hasattr(operation, "_nodes_by_depth") or isinstance(operation, keras.Sequential):
        _check_inputs(node, given, path)
        return walk(operation, given, program, path)
    name = program.name
    try:
        if not isinstance(operation, keras.layers.Layer):
            return _symbolic(node, values, program)
        program.name = operation.name
        if operation.quantization_mode is not None:
            raise Unsupported(
                f"quantized to {operation.quantization_mode}: save the model as it was before "
                "quantize()"
            )
        if type(operation) not in LAYERS:
            return _apart(node, given, program, path)
        if getattr(operation, "data_format", None) == "channels_first":
            raise Unsupported("channels first. Build the network channels last")
        if len(tensors) != 1:
            raise Unsupported(f"expected one input, got {len(tensors)}")
        if tensors[0].shape[0] is not None and None in tensors[0].shape:
            raise Unsupported(f"expected images first, got {tensors[0].shape}")
        if type(operation) not in TAKES_INTEGERS:
            _check_float(tensors)
        shape = node.output_tensors[0].shape
        number = LAYERS[type(operation)](program, operation, Value(given[0], tensors[0].shape))
        function = getattr(operation, "activation", None)
        return [number if function is None else _function(function, number, shape, program, path)]
    except Unsupported as error:
        raise ExportError(f"{path} ({type(operation).__name__}): {error}.") from None
    except ValueError as error:  # settings or weights that no array can be made of
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{path} ({type(operation).__name__}): {text}.") from None
    finally:
        program.name = name


def _check_inputs(node: Any, given: list[int], path: str) -> None:
    """Raises ExportError unless a model inside gets its inputs in its own order, as they are."""
    graph = functional(node.operation, path)
    args, kwargs = node.arguments.args, node.arguments.kwargs
    passed = [*args, *kwargs.values(), graph._inputs_struct]
    if len(given) > 1 and any(isinstance(each, dict) for each in passed):
        raise ExportError(
            f"{path} ({type(node.operation).__name__}): expected inputs in a list, got them by "
            "name. Build and call the model with a list."
        )
    if len(given) != len(graph.inputs):
        raise ExportError(
            f"{path} ({type(node.operation).__name__}): expected {len(graph.inputs)} inputs, got "
            f"{len(given)}. Call the model with its inputs alone."
        )
    for number, tensor in zip(given, graph.inputs, strict=True):
        if number and "float" not in tensor.dtype:  # 0: the images, whole numbers themselves
            raise ExportError(
                f"{path} ({type(node.operation).__name__}): expected float inputs, got "
                f"{tensor.dtype}, which cuts off fractions. Build the model with a float32 input."
            )


def _check_float(tensors: list[Any]) -> None:
    """Raises Unsupported for whole numbers: Keras would go on in them, the runtime in float32."""
    for tensor in tensors:
        if "float" not in tensor.dtype:
            raise Unsupported(
                f"expected floating-point numbers, got {tensor.dtype}. Cast to float32 first"
            )


def _symbolic(node: Any, values: dict[int, int], program: Program) -> list[int]:
    """Append one operation of keras.ops."""
    operation = node.operation
    kind = type(operation)
    if kind.__name__ not in SYMBOLIC or not kind.__module__.startswith("keras."):
        raise Unsupported(
            f"{kind.__module__}.{kind.__name__} is not among the operations that the uploaded "
            f"runtime can express: {', '.join(SYMBOLIC)}"
        )
    if kind.__name__ != "Cast":
        _check_float(node.input_tensors)
    args, kwargs = node.arguments.convert(
        lambda x: Value(values[id(x)], x.shape) if isinstance(x, keras.KerasTensor) else x
    )
    arguments = inspect.signature(operation.call).bind(*args, **kwargs).arguments
    shapes = [tensor.shape for tensor in node.output_tensors]
    numbers = SYMBOLIC[kind.__name__](program, Call(operation, arguments, shapes))
    return numbers if isinstance(numbers, list) else [numbers]


def _apart(node: Any, given: list[int], program: Program, path: str) -> list[int]:
    """Append the operations that a layer's `call` consists of, as it runs outside training."""
    layer = node.operation
    inputs = {
        id(tensor): keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
        for tensor in node.input_tensors
    }
    args, kwargs = node.arguments.convert(lambda x: inputs.get(id(x), x))
    kwargs.pop("training", None)
    if "training" in inspect.signature(layer.call).parameters:
        kwargs["training"] = False
    numbers = dict(zip(map(id, node.input_tensors), given, strict=True))
    try:
        outputs = keras.tree.flatten(layer.call(*args, **kwargs))
        graph = keras.Function(list(inputs.values()), outputs)
    except Exception as error:  # whatever a layer raises that does not compute with keras.ops alone
        known = ", ".join(sorted(kind.__name__ for kind in LAYERS))
        reason = str(error).strip().splitlines()[:1]
        raise Unsupported(
            f"{type(layer).__module__}.{type(layer).__name__} is not among the layers that the "
            f"uploaded runtime can express ({known}), nor made of keras.ops alone "
            f"({type(error).__name__}: {' '.join(reason)})"
        ) from None
    try:
        where = f"{path} ({type(layer).__name__})"
        return walk(graph, [numbers[key] for key in inputs], program, where)
    finally:
        _forget(graph)


def _function(
    function: Callable[[Any], Any], number: int, shape: Shape, program: Program, path: str
) -> int:
    """Append what an activation function does to a value."""
    x = keras.Input(batch_shape=shape)
    try:
        y = WRITTEN_OUT.get(function, function)(x)
        graph = keras.Function(x, y)
    except Exception as error:  # whatever a function raises that does not compute with keras.ops
        name = getattr(function, "__name__", type(function).__name__)
        raise Unsupported(
            f"activation {name}: expected a function of keras.ops ({type(error).__name__})"
        ) from None
    return walk(graph, [number], program, path)[0]


def _forget(graph: Any) -> None:
    """Take the calls of a graph back from the layers in it, which are the network's own."""
    for nodes in graph._nodes_by_depth.values():
        for node in nodes:
            if isinstance(node.operation, keras.layers.Layer) and not node.is_input:
                node.operation._inbound_nodes.remove(node)
