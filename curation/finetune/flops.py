"""FLOPs of training and scoring, counted module by module, and what devices could do at best.

A matrix product of a token with a weight costs 2 FLOPs for each entry: once forward, once for the
gradient of its input (where anything below is trained) and once for the gradient of the weight
(where that is trained). Attention costs two products of sequence_length x width for each token and
layer, 4 forward and 8 backward. Norms, softmax, rotary positions and the optimiser are left out:
together below 1 % from a width of some hundred on. Sources: Kaplan et al. 2020, table 1 (full
training); NVIDIA-NeMo/Automodel#786 and Lightning-AI/litgpt#420 (what frozen weights save).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from curation.results import FlopCounts, ModelFacts

FLOPS_CONVENTION = (
    "module by module, for each token presented: 2 x weights of each matrix product forward, as "
    "much for its input's and for its weight's gradient where they are needed (6 x "
    "matmul_parameters when all is trained), and attention in full, 12 x layers x width x "
    "sequence_length; causal and document masking not subtracted"
)

_PROBE_TOKENS = 8

PEAK_FLOPS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "V100": 125e12,
    "T4": 65e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
}
"""Dense FLOP/s in 16 bits by a part of the device's name, as its maker states it; figures "with
sparsity" are twice these. V100 and T4 have fp16 only."""


class TokenFlops(NamedTuple):
    """FLOPs of one token of a training sequence."""

    forward: float
    backward: float

    @property
    def training(self) -> float:
        """Forward and backward."""
        return self.forward + self.backward


def count_token_flops(model: Any, sequence_length: int) -> TokenFlops:
    """Counts a model's FLOPs, from one small pass forward that sees which gradients are needed.

    Args:
        model: A causal language model; what does not require gradients counts as frozen.
        sequence_length: Tokens that attention spans.
    """
    seen = _watch(model)
    forward = backward = 0.0
    for weights, passes_on, trained in seen.products:
        forward += 2 * weights
        backward += 2 * weights * (passes_on + trained)
    attention = 4.0 * _attention_width(model.config) * sequence_length
    layers = seen.attentions or [True] * model.config.num_hidden_layers
    forward += attention * len(layers)
    backward += 2 * attention * sum(layers)
    return TokenFlops(forward, backward)


def count_flops(model: Any, facts: ModelFacts, tokens: int, sequence_length: int) -> FlopCounts:
    """Returns the FLOPs of training on some tokens, in three conventions."""
    return FlopCounts(
        modules=count_token_flops(model, sequence_length).training * tokens,
        matmul=6.0 * facts.matmul_parameters * tokens,
        parameters=6.0 * facts.parameters * tokens,
    )


def peak_flops(device_name: str, precision: str) -> float | None:
    """Returns the published FLOP/s of a device in 16 bits; None in fp32 or if it is unknown.

    The longest part of the name that is known decides: "H100 PCIe" before "H100".
    """
    if precision == "fp32":
        return None
    words = f" {device_name.replace('-', ' ')} "
    known = [name for name in PEAK_FLOPS if f" {name} " in words]
    return PEAK_FLOPS[max(known, key=len)] if known else None


class _Seen:
    """What one pass forward met."""

    def __init__(self) -> None:
        self.products: list[tuple[int, bool, bool]] = []
        """Weights of each matrix product, and whether its input and its weight get gradients."""
        self.attentions: list[bool] = []
        """For each attention, whether gradients pass through it."""

    def product(self, module: nn.Module, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        self.products.append((weight.numel(), args[0].requires_grad, weight.requires_grad))

    def attention(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        trained = any(parameter.requires_grad for parameter in module.parameters())
        self.attentions.append(trained or any(value.requires_grad for value in given))


def _watch(model: Any) -> _Seen:
    seen, training = _Seen(), model.training
    ids = torch.zeros((1, _PROBE_TOKENS), dtype=torch.int64, device=model.device)
    model.eval()  # nothing is drawn at random
    with ExitStack() as hooks, torch.enable_grad():
        for module, note in _hooks(model, seen):
            hooks.callback(module.register_forward_pre_hook(note, with_kwargs=True).remove)
        model(input_ids=ids, use_cache=False)
    model.train(training)
    return seen


def _hooks(model: Any, seen: _Seen) -> Iterator[tuple[nn.Module, Any]]:
    for module in model.modules():
        if isinstance(module, nn.Linear | Conv1D):
            yield module, seen.product
        elif type(module).__name__.endswith("Attention"):
            yield module, seen.attention


def _attention_width(config: Any) -> int:
    """Returns heads x dimensions of a head, which need not be the width of the residual stream."""
    heads = config.num_attention_heads
    return int(heads * (getattr(config, "head_dim", None) or config.hidden_size // heads))
