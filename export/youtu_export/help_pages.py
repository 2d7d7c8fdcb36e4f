"""What `--help` of youtu-export says beyond the options; as youtu_edge.cli.help_pages."""

from __future__ import annotations

from youtu_edge.help_page import HelpPage

INTERRUPTED = (130, "interrupted; nothing was written")

PAGES = {
    "youtu-export": HelpPage(
        "Make a model package from a checkpoint, on a computer; devices do not need this.",
        (
            "youtu-export gguf model.Q4_1.gguf package",
            "youtu-export hf ORG/NAME package --recipe q4-awq",
            "youtu-export families",
        ),
    ),
    "youtu-export gguf": HelpPage(
        "Make a package from a GGUF file, or from ORG/NAME:FILE.gguf on a hub. Quantised\n"
        "codes that the recipe can keep are kept as they are.",
        (
            "youtu-export gguf model.Q4_1.gguf package",
            "youtu-export gguf ORG/NAME:model.Q8_0.gguf package --recipe q8",
        ),
        ((0, "the package is complete"), (1, "the checkpoint or the target cannot be used"), INTERRUPTED),
    ),
    "youtu-export hf": HelpPage(
        "Make a package from a directory in Hugging Face's format, or from ORG/NAME on a\nhub.",
        (
            "youtu-export hf checkpoint package",
            "youtu-export hf ORG/NAME package --from modelscope --recipe q4-awq --report",
        ),
        ((0, "the package is complete"), (1, "the checkpoint or the target cannot be used"), INTERRUPTED),
    ),
    "youtu-export families": HelpPage(
        "The supported models, and what fits which board.",
        ("youtu-export families",),
        ((0, "printed"),),
    ),
    "youtu-export compare": HelpPage(
        "How far package B is from package A: perplexity, divergence, tokens that agree.",
        ("youtu-export compare package-f32 package-q4", "youtu-export compare a b --text sample.txt --tokens 1000"),
        ((0, "compared"), (1, "a package cannot be used"), INTERRUPTED),
    ),
    "youtu-export verify": HelpPage(
        "Compare logits and greedy text of a package with transformers on its checkpoint.\nNeeds the extra [verify].",
        ("youtu-export verify package --against checkpoint",),
        ((0, "they agree as far as the recipe allows"), (1, "they do not, or one cannot be used"), INTERRUPTED),
    ),
    "youtu-export sign": HelpPage(
        "Write manifest.json.sig to a package. Devices that trust the key accept it.",
        ("youtu-export sign package --key release.key",),
        ((0, "signed"), (1, "the package or the key cannot be used")),
    ),
    "youtu-export publish": HelpPage(
        "Write an archive of a package and its line in rollout.json, for\n`youtu-edge model install https://…`.",
        (
            "youtu-export publish package /srv/models --key release.key",
            "youtu-export publish package /srv/models --percent 5",
        ),
        ((0, "published"), (1, "the package, the directory or the key cannot be used"), INTERRUPTED),
    ),
    "youtu-export keygen": HelpPage(
        "Create an Ed25519 key: FILE, which stays secret, and FILE.pub for the devices.",
        ("youtu-export keygen release.key",),
        ((0, "created"), (1, "the file exists, or cannot be written")),
    ),
}
"""Command -> page; lines have at most 78 columns."""
