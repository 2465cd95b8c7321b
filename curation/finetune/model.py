"""The model: Llama-style in sizes that follow from one depth, or a checkpoint.

One dial, in the manner of nanochat (karpathy/nanochat): a model of depth d has

    width  = 64 d               wider with depth at a constant ratio, as the GPT ladder does
    heads  = max(2, width / 64) of 64 dimensions each, as many key-value heads
    hidden = 8/3 width          of the gated MLP, rounded up to 32: its three matrices then weigh
                                what the two of a plain MLP of 4 x width do

so a block has 4 width^2 (attention) + 8 width^2 (MLP) parameters, and all blocks 12 d width^2 =
49,152 d^3. Embedding and output head share one matrix of vocab_size x width: at these sizes an
untied head would be a third to a half of the model.

    micro  d  1     49 k in blocks       tests
    tiny   d  2    0.4 M                 a minute on a laptop: 0.9 M with 4,096 entries
    small  d  4    3.1 M                 4.2 M with 4,096 entries
    base   d  8     25 M                 29 M with 8,192 entries
    large  d 12     85 M                 GPT-2's blocks; wants a GPU
"""

import math
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

from curation.errors import RecipeError
from curation.finetune.tokenizer import TextTokenizer, checkpoint_name
from curation.job import Job, ModelSpec
from curation.results import ModelFacts

DEPTHS = {"micro": 1, "tiny": 2, "small": 4, "base": 8, "large": 12}
"""Depth of each named size."""


def make_model(job: Job, tokenizer: TextTokenizer) -> Any:
    """Builds or loads the model of a job, in fp32, on the CPU.

    Raises:
        RecipeError: The checkpoint is missing, unsafe (no safetensors), or does not fit, or
            there are fewer layers than shall be trained.
    """
    torch.manual_seed(job.seed.init)
    model: Any
    if job.model.checkpoint is None:
        model = new_model(job.model, tokenizer, job.data.sequence_length)
    else:
        model = _load(job)
        _check_fit(job, model, tokenizer)
    freeze(model, job.training.last_layers)
    return model


def new_model(spec: ModelSpec, tokenizer: TextTokenizer, positions: int) -> LlamaForCausalLM:
    """Builds a model with fresh weights from torch's current random state."""
    return LlamaForCausalLM(
        LlamaConfig(
            **shape(spec),
            vocab_size=tokenizer.size,
            max_position_embeddings=positions,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.begin,
            eos_token_id=tokenizer.begin if tokenizer.end is None else tokenizer.end,
            pad_token_id=tokenizer.fast.pad_token_id,
            use_cache=False,
        )
    )


def shape(spec: ModelSpec) -> dict[str, Any]:
    """Returns the sizes of a new model, as LlamaConfig names them."""
    depth = spec.depth or DEPTHS[spec.size or "tiny"]
    width = spec.width or 64 * depth
    heads = max(2, width // 64)
    while width % heads or (width // heads) % 2:  # rotary positions turn pairs of dimensions
        heads -= 1
    return {
        "num_hidden_layers": depth,
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "intermediate_size": math.ceil(width * 8 / 3 / 32) * 32,
    }


def describe(model: Any, job: Job) -> ModelFacts:
    """Counts a model's parameters in the three conventions of scaling laws."""
    head = model.get_output_embeddings()
    matmul = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, nn.Linear | Conv1D)
    )
    return ModelFacts(
        origin=job.model.checkpoint or "new",
        architecture=type(model).__name__,
        layers=model.config.num_hidden_layers,
        width=model.config.hidden_size,
        vocab_size=model.config.vocab_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        matmul_parameters=matmul,
        block_parameters=matmul - head.weight.numel(),
        trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
    )


def freeze(model: Any, last_layers: int | None) -> None:
    """Leaves only the last blocks, the final norm and an output head of its own to be trained.

    Raises:
        RecipeError: The model has fewer blocks than that, or does not show them.
    """
    if last_layers is None:
        return
    blocks = getattr(model.base_model, "layers", getattr(model.base_model, "h", None))
    found = 0 if blocks is None else len(blocks)
    if blocks is None or last_layers > found:
        raise RecipeError(
            f"training.last_layers {last_layers}: the model has {found} blocks; expected at most "
            "that many"
        )
    model.requires_grad_(requires_grad=False)
    norm = getattr(model.base_model, "norm", getattr(model.base_model, "ln_f", None))
    parts = [*blocks[found - last_layers :], *([norm] if norm is not None else [])]
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight is not embedding.weight:
        parts.append(head)
    for part in parts:
        part.requires_grad_(requires_grad=True)


def _load(job: Job) -> Any:
    name, revision = checkpoint_name(job)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            revision=revision,
            local_files_only=job.model.hub_id is None,
            use_safetensors=True,  # the other format runs code when it is opened
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise RecipeError(
            f"model.checkpoint {job.model.checkpoint}: cannot be loaded "
            f"({' '.join(str(error).split()):.160}); expected config.json and safetensors"
        ) from error
    model, found = loaded
    missing = sorted(found["missing_keys"])
    if missing:  # they would be drawn at random, and nobody would know
        raise RecipeError(
            f"model.checkpoint {job.model.checkpoint}: lacks {len(missing)} weights of its model, "
            f"'{missing[0]}' first; expected a causal language model saved whole"
        )
    return model


def _check_fit(job: Job, model: Any, tokenizer: TextTokenizer) -> None:
    entries = model.get_input_embeddings().weight.shape[0]
    if tokenizer.size > entries:
        raise RecipeError(
            f"tokenizer has {tokenizer.size:,} entries, the checkpoint's embeddings {entries:,}; "
            "leave [tokenizer] out to take the checkpoint's own"
        )
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and job.data.sequence_length > positions:
        raise RecipeError(
            f"data.sequence_length {job.data.sequence_length:,} is longer than the checkpoint's "
            f"{positions:,} positions; set it to that or less"
        )
