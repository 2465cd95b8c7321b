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

FLOPS_CONVENTION = (
    "6 x matmul_parameters (output head included) + 12 x layers x width x sequence_length for each "
    "token presented; attention counted in full, causal and document masking not subtracted"
)


def make_model(job: Job, tokenizer: TextTokenizer) -> Any:
    """Builds or loads the model of a job, in fp32, on the CPU.

    Raises:
        RecipeError: The checkpoint is missing, unsafe (no safetensors), or does not fit.
    """
    torch.manual_seed(job.seed.init)
    if job.model.checkpoint is None:
        return new_model(job.model, tokenizer, job.data.sequence_length)
    model = _load(job)
    _check_fit(job, model, tokenizer)
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
    )


def training_flops(facts: ModelFacts, tokens: int, sequence_length: int) -> float:
    """Returns the FLOPs of training on some tokens (see FLOPS_CONVENTION).

    Forward costs 2 for each weight and token, backward twice that; attention costs two products
    of sequence_length x width for each token and layer, 4 forward and 8 backward. Source: Kaplan
    et al. 2020, table 1; the Trainer's own count leaves out attention and a shared output head.
    """
    attention = 12 * facts.layers * facts.width * sequence_length
    return float(tokens) * (6 * facts.matmul_parameters + attention)


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
