"""Sizes follow from the depth; packed neighbours do not see each other; checkpoints are safe."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from curation.errors import RecipeError
from curation.finetune.model import describe, make_model, new_model, shape
from curation.finetune.tokenizer import make_tokenizer
from curation.job import ModelSpec
from tests.finetune.factory import micro_job, sentences
from tests.finetune.test_tokenizer import documents, make


@pytest.fixture(scope="module")
def tokenizer():
    return make()


@pytest.fixture(scope="module")
def checkpoint(tokenizer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("checkpoint")
    make_model(micro_job(), tokenizer).save_pretrained(directory)
    tokenizer.fast.save_pretrained(directory)
    return directory


def checkpoint_job(directory, **tables):
    model = {"checkpoint": str(directory), "depth": None, "width": None}
    return micro_job(model=model, tokenizer={"kind": "checkpoint"}, **tables)


@pytest.mark.parametrize(
    ("size", "blocks"),
    [("micro", 49_152), ("tiny", 393_216), ("small", 3_145_728), ("base", 25_165_824)],
)
def test_blocks_weigh_twelve_depth_width_squared(size, blocks):
    sizes = shape(ModelSpec(size=size))
    width, hidden = sizes["hidden_size"], sizes["intermediate_size"]
    weights = sizes["num_hidden_layers"] * (4 * width**2 + 3 * width * hidden)
    assert weights == pytest.approx(blocks, rel=0.09)


@pytest.mark.parametrize("width", [32, 64, 96, 160, 352, 1024])
def test_every_width_gives_heads_that_rotary_positions_can_turn(tokenizer, width):
    sizes = shape(ModelSpec(depth=1, width=width))
    assert sizes["hidden_size"] == width
    assert width % sizes["num_attention_heads"] == 0
    assert width // sizes["num_attention_heads"] % 2 == 0
    ids = torch.tensor([[tokenizer.begin, 5, 6]])
    logits = new_model(ModelSpec(depth=1, width=width), tokenizer, 8)(input_ids=ids).logits
    assert logits.shape == (1, 3, tokenizer.size)


def test_parameters_are_counted_in_three_conventions(tokenizer):
    job = micro_job()
    facts = describe(make_model(job, tokenizer), job)
    blocks = 4 * 32 * 32 + 3 * 32 * 96
    head = 300 * 32
    norms = 3 * 32
    assert facts.block_parameters == blocks
    assert facts.matmul_parameters == blocks + head
    assert facts.parameters == blocks + head + norms  # the embedding is the head


def test_init_seed_alone_decides_the_weights(tokenizer):
    def weights(**seed):
        torch.rand(7)  # whatever was drawn before does not matter
        return make_model(micro_job(seed=seed), tokenizer).get_input_embeddings().weight

    assert torch.equal(weights(init=1), weights(init=1, order=5, sampling=5))
    assert not torch.equal(weights(init=1), weights(init=2))


@torch.no_grad()
def test_packed_documents_do_not_see_each_other(tokenizer):
    model = make_model(micro_job(data={"sequence_length": 64}), tokenizer).eval()
    first, second = tokenizer.encode([text[:30] for text in sentences(2)])
    first, second = [tokenizer.begin, *first], [tokenizer.begin, *second]
    positions = [*range(len(first)), *range(len(second))]
    packed = model(
        input_ids=torch.tensor([first + second]), position_ids=torch.tensor([positions])
    ).logits[0, len(first) :]
    alone = model(input_ids=torch.tensor([second])).logits[0]
    torch.testing.assert_close(packed, alone)
    joined = model(input_ids=torch.tensor([first + second])).logits[0, len(first) :]
    assert not torch.allclose(joined, alone, atol=1e-4)


def test_checkpoint_keeps_its_weights(checkpoint, tokenizer):
    job = checkpoint_job(checkpoint)
    loaded = make_tokenizer(job, documents([]))
    model = make_model(job, loaded)
    assert loaded.encode(["a b"]) == tokenizer.encode(["a b"])
    expected = make_model(micro_job(), tokenizer)
    assert torch.equal(model.lm_head.weight, expected.lm_head.weight)
    assert describe(model, job).origin == str(checkpoint)


def test_checkpoint_without_safetensors_is_refused(checkpoint, tokenizer, tmp_path):
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(RecipeError, match=r"cannot be loaded .*expected config.json and safetens"):
        make_model(checkpoint_job(tmp_path), tokenizer)


def test_checkpoint_with_a_damaged_file_is_refused(checkpoint, tokenizer, tmp_path):
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(RecipeError, match=r"cannot be loaded"):
        make_model(checkpoint_job(tmp_path), tokenizer)


def test_checkpoint_that_lacks_weights_is_refused(checkpoint, tokenizer, tmp_path):
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    weights = load_file(checkpoint / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(RecipeError, match=r"lacks 1 weights of its model, 'model.norm.weight'"):
        make_model(checkpoint_job(tmp_path), tokenizer)


def test_checkpoint_without_tokenizer_is_told(checkpoint, tmp_path):
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    with pytest.raises(RecipeError, match=r"its tokenizer cannot be loaded"):
        make_tokenizer(checkpoint_job(tmp_path), [])


def test_sequence_longer_than_the_checkpoint_can_read_is_told(checkpoint, tokenizer):
    job = checkpoint_job(checkpoint, data={"sequence_length": 64})
    with pytest.raises(RecipeError, match=r"sequence_length 64 is longer than .* 32 positions"):
        make_model(job, tokenizer)


def test_tokenizer_with_more_entries_than_the_checkpoint_is_told(checkpoint):
    with pytest.raises(RecipeError, match=r"tokenizer has 310 entries, .* embeddings 300"):
        make_model(checkpoint_job(checkpoint), make(310))
