"""The own count of FLOPs agrees with torch's, operation by operation, whatever is frozen."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from curation.errors import RecipeError
from curation.finetune.flops import count_flops, count_token_flops, peak_flops
from curation.finetune.model import describe, make_model
from curation.finetune.report import utilisation
from curation.results import Device, Steps
from tests.finetune.factory import micro_job
from tests.finetune.test_tokenizer import make


@pytest.fixture(scope="module")
def tokenizer():
    return make()


def model_of(tokenizer, depth=2, **training):
    job = micro_job(model={"depth": depth}, training=training, data={"sequence_length": 64})
    return make_model(job, tokenizer), job


def torch_count(model, length, *, backward):
    """What torch counts for one sequence with attention spelled out as matrix products."""
    model.set_attn_implementation("eager")
    ids = torch.arange(length)[None] % 300
    with FlopCounterMode(display=False) as counter:
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        if backward:
            loss.backward()
    return counter.get_total_flops()


def test_full_training_is_six_for_each_weight_and_attention_in_full(tokenizer):
    model, job = model_of(tokenizer, depth=1)
    facts = describe(model, job)
    expected = 6 * (4 * 32 * 32 + 3 * 32 * 96 + 300 * 32) + 12 * 1 * 32 * 64
    assert count_token_flops(model, 64).training == expected
    counts = count_flops(model, facts, 10, 64)
    assert counts.modules == 10 * expected
    assert counts.matmul == 60 * facts.matmul_parameters
    assert counts.parameters == 60 * facts.parameters


@pytest.mark.parametrize("last_layers", [None, 1, 2])
def test_count_agrees_with_that_of_torch(tokenizer, last_layers):
    length = 64
    model, _ = model_of(tokenizer, depth=3, last_layers=last_layers)
    ours = count_token_flops(model, length)
    assert ours.forward * length == torch_count(model, length, backward=False)
    assert ours.training * length == torch_count(model, length, backward=True)


def test_frozen_layers_cost_less_than_full_training(tokenizer):
    full, _ = model_of(tokenizer, depth=3)
    frozen, _ = model_of(tokenizer, depth=3, last_layers=1)
    assert count_token_flops(frozen, 64).forward == count_token_flops(full, 64).forward
    assert count_token_flops(frozen, 64).backward < 0.6 * count_token_flops(full, 64).backward


def test_counting_changes_neither_mode_nor_random_numbers(tokenizer):
    model, _ = model_of(tokenizer)
    model.train()
    state = torch.get_rng_state()
    count_token_flops(model, 64)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_last_layers_leave_embedding_and_first_blocks_alone(tokenizer):
    model, job = model_of(tokenizer, depth=3, last_layers=1)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {
        name for name in trained if ".layers.2." in name or name == "model.norm.weight"
    }
    assert any(".layers.2." in name for name in trained)
    facts = describe(model, job)
    block = 4 * 32 * 32 + 3 * 32 * 96 + 2 * 32
    assert facts.trained_parameters == block + 32 < facts.parameters


def test_more_layers_than_there_are_is_told(tokenizer):
    with pytest.raises(RecipeError, match=r"last_layers 3: the model has 2 blocks"):
        model_of(tokenizer, last_layers=3)


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA H100 NVL", "fp16", 835e12),
        ("NVIDIA H200", "bf16", 989e12),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA A10G", "bf16", None),
        ("NVIDIA L4", "bf16", 121e12),
        ("NVIDIA L40S", "bf16", 362e12),
        ("Tesla T4", "fp16", 65e12),
        ("NVIDIA H100 80GB HBM3", "fp32", None),
        ("AMD EPYC 7B13", "bf16", None),
    ],
)
def test_peak_is_that_of_the_very_device(name, precision, expected):
    assert peak_flops(name, precision) == expected


def test_utilisation_is_the_rate_of_work_over_that_of_all_devices():
    steps = Steps(timed=10, skipped=10, seconds=0.1, tokens_per_second=1e6)
    device = Device(kind="cuda", name="NVIDIA H100 NVL", count=2, threads=1, precision="bf16")
    assert utilisation(6e8, steps, device, 1e15) == pytest.approx(0.3)
    assert utilisation(6e8, steps, device, None) is None
    assert utilisation(6e8, steps.model_copy(update={"timed": 0}), device, 1e15) is None
