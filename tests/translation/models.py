"""A tiny Marian model with random weights, its vocabulary made from a few sentences."""

import json
from pathlib import Path

WORDS = """the patient has a rare disease of the heart and of the eye that no drug can cure so far
    o paciente tem uma rara doença do olho que os remédios não podem curar até agora""".split()  # noqa: SIM905
SENTENCES = [" ".join(WORDS[i:] + WORDS[:i]) + "." for i in range(len(WORDS))]


def make_marian(directory: Path, seed: int = 0) -> Path:
    """Writes a Marian model as transformers saves it: safetensors, two .spm, vocab.json."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    directory.mkdir(parents=True)
    text = directory / "text.txt"
    text.write_text("\n".join(SENTENCES), encoding="utf-8")
    for name in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=str(directory / name),
            vocab_size=90,
            minloglevel=2,
            hard_vocab_limit=False,
        )
        (directory / f"{name}.model").rename(directory / f"{name}.spm")
        (directory / f"{name}.vocab").unlink()
    spm = sentencepiece.SentencePieceProcessor(model_file=str(directory / "source.spm"))
    pieces = [spm.id_to_piece(i) for i in range(spm.get_piece_size())]
    known = [piece for piece in pieces if piece not in ("<s>", "</s>", "<unk>")]
    vocabulary = {
        piece: at for at, piece in enumerate(["</s>", "<unk>", *known, ">>por<<", "<pad>"])
    }
    (directory / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    text.unlink()
    padding = vocabulary["<pad>"]
    torch.manual_seed(seed)
    config = MarianConfig(
        vocab_size=len(vocabulary),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=96,
        pad_token_id=padding,
        eos_token_id=0,
        bos_token_id=None,
        forced_eos_token_id=0,
        decoder_start_token_id=padding,
        scale_embedding=True,
        init_std=0.5,
    )
    MarianMTModel(config).save_pretrained(directory)
    tokenizer = {"separate_vocabs": False, "source_lang": "en", "target_lang": "pt"}
    (directory / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return directory
