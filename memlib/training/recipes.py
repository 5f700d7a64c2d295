"""Every training as data: what a recipe may say, and the list of all recipes.

A checkpoint is named after its recipe. Each recipe for CIFAR-10 has a twin for the digits, half as wide, by one rule.
"""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from memlib.base.checks import fail, in_range, one_of, positive, whole, yes_or_no
from memlib.base.configuration import Config, config
from memlib.cells.device import Device
from memlib.zoo.networks import LABELS, NETWORKS

PRESET = "10k_100k"  #: the device of noise-aware training, except for the fields that the recipe names
AGAIN = (1, 2)  #: seeds of networks that are trained again: all that are compared with others
ONCE = ("mobilenetv2", "mlp")  #: networks that no verdict ranks; the binary one is trained once, too
EPOCHS = 36  #: of every ResNet-20, whatever its width and connectivity, as they are compared with each other
#: Epochs on the digits, of networks that take others than most there.
DIGITS_EPOCHS = {
    "resnet20": 30, "vgg8": 30, "vgg8-0.375": 24, "vgg8-0.375-binary": 24, "mobilenetv2": 10, "mlp": 24,
}  # fmt: skip
#: Acts at every read: an array's inputs decide what of it reaches a result, so it is no change of a weight.
AT_READS = ("read_noise", "read_noise_to", "v0", "v0_off")


@config
class Recipe(Config):
    """All that decides a trained network, apart from the code, the images and (in the last digits) the threads."""

    data: str  #: "digits" or "cifar10"
    network: str  #: a name in networks.NETWORKS
    width: float  #: width multiplier
    epochs: int
    batch: int = 128
    lr: float = 0.2  #: peak learning rate; linear warm-up from 0 over the first fifth of the steps, linear decay to 0
    momentum: float = 0.9  #: Nesterov
    weight_decay: float = 5e-4  #: on all parameters
    label_smoothing: float = 0.0
    shift: int = 2  #: random crops out of images padded by this many reflected pixels
    flip: bool = True  #: mirror each image in every second epoch, starting at random (Jordan 2024, airbench)
    seed: int = 0
    start: str = ""  #: checkpoint of the same network whose weights it begins from; "": initial ones, from the seed
    #: What is pruned before training: "weights", single ones by magnitude, or whole output "channels"; "": nothing.
    prune: str = ""
    sparsity: float = 0.0  #: the fraction of them
    #: Noise-aware training: fields of `Device` that differ from `PRESET`, as pairs; every step programs fresh cells.
    device: tuple[tuple[str, Any], ...] = ()
    dac_bits: int | None = None  #: quantisation-aware training: of every matrix layer's inputs; None: off
    #: Batch norm keeps the statistics of `start`, as a chip does that is not recalibrated: training with those of each
    #: noisy batch would rely on their being measured again on every chip.
    frozen_statistics: bool = False
    binary: bool = False  #: weights are plus or minus one number of their layer (`memlib.training.binary`)

    def __post_init__(self) -> None:
        self.check(one_of, "data", allowed=("digits", "cifar10"))
        self.check(one_of, "network", allowed=NETWORKS)
        self.check(positive, "width", "lr")
        self.check(whole, "epochs", "batch", low=1)
        self.check(whole, "shift", "seed", low=0)
        self.check(in_range, "momentum", "weight_decay", "label_smoothing", "sparsity", low=0, high=1)
        self.check(yes_or_no, "flip", "frozen_statistics", "binary")
        if self.frozen_statistics and not self.start:
            fail("frozen_statistics", True, "False without `start`, which they are from")
        self._check_tuning()

    def _check_tuning(self) -> None:
        self.check(one_of, "prune", allowed=("", "weights", "channels"))
        if bool(self.prune) != (0 < self.sparsity < 1):
            fail("sparsity", self.sparsity, "between 0 and 1 with pruning, and 0 without")
        if self.prune and (self.device or self.dac_bits or self.binary):
            fail("prune", self.prune, "'' in noise-aware, quantisation-aware or binary training")
        self.check(whole, "dac_bits", low=2, high=24, none=True)
        if self.binary and (self.device or self.dac_bits):
            fail("binary", True, "False in noise-aware or quantisation-aware training")
        if self.dac_bits and not self.start:
            fail("dac_bits", self.dac_bits, "None without `start`: ranges are those of a trained network's activations")
        for name, value in self.device:
            if name in AT_READS:
                fail("device", (name, value), "what keeps a programmed cell from its target, not what acts at reads")
        self.cells()  # raises for unknown fields and values

    def cells(self) -> Device:
        """The cells that hold its weights in training."""
        return Device.preset(PRESET).replace(**dict(self.device))

    def settings(self) -> dict[str, Any]:
        """Its fields except those at their default: a new field changes no recipe's settings."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in values.items() if default is MISSING or value != default}

    def describe(self) -> str:
        """One line for people."""
        texts = {
            f"{LABELS[self.network]}, width {self.width:g}": True,
            f"{self.sparsity:.4g} of its {self.prune} pruned": self.prune,
            "binary weights": self.binary,
            "on cells with " + ", ".join(f"{name} {value}" for name, value in self.device): self.device,
            "statistics of batch norm frozen": self.frozen_statistics,
            f"inputs of {self.dac_bits} bits": self.dac_bits,
            f"seed {self.seed}": self.seed,
            f"from {self.start}": self.start,
        }
        return "; ".join(text for text, holds in texts.items() if holds)


def again(name: str, seed: int) -> str:
    """The name of the recipe that differs from `name`, which has seed 0, in the seed."""
    stem, images = name.rsplit("-", 1)
    return f"{stem}-seed{seed}-{images}" if seed else name


def trainings(name: str, seeds: Sequence[int]) -> list[str]:
    """The names of the recipe with each seed. Raises ValueError for fewer than two seeds, or for one twice."""
    if len(set(seeds)) < max(2, len(seeds)):
        fail("training_seeds", list(seeds), "at least two seeds, all different")
    return [again(name, seed) for seed in seeds]


def _ladder() -> dict[str, Recipe]:
    """ResNet-20 of three connectivities, each at three numbers of parameters, about the same; and a larger one."""
    widths = {
        "resnet20": (0.25, 0.5, 1, 1.41),
        "resnet20_grouped": (0.5, 1, 2),
        "resnet20_separable": (0.65, 1.4, 2.9),
    }
    recipes = {f"{n}-{w:g}-cifar10": Recipe("cifar10", n, w, EPOCHS) for n in widths for w in widths[n]}
    return {"resnet20-cifar10": recipes.pop("resnet20-1-cifar10")} | recipes


def _tuned(recipes: dict[str, Recipe]) -> dict[str, Recipe]:
    """Recipes that go on from a checkpoint of `recipes`, by name: pruned, noise-aware and quantisation-aware ones.

    Each has a control that is trained on in the same way, but whole, or on ideal hardware: "finetuned" that of pruned
    ones, "longer" those of the others.
    """
    fast: dict[str, Any] = {"lr": 0.05}
    changes: dict[str, tuple[str, dict[str, Any]]] = {"resnet20-0.5-finetuned": ("resnet20-0.5", fast)}
    for how, sparsity in (("weights", 0.75), ("weights", 0.9), ("channels", 0.6)):
        changes[f"resnet20-{how}{sparsity:g}"] = "resnet20", fast | {"prune": how, "sparsity": sparsity}
    # a tenth of that learning rate: where statistics of batch norm are frozen, more diverges
    gentle: dict[str, Any] = {"lr": 0.005, "frozen_statistics": True}
    for twin in ("resnet20-0.5", "resnet20_grouped-1", "resnet20_separable-1.4"):
        changes[f"{twin}-longer"] = twin, gentle
        changes[f"{twin}-noise"] = twin, gentle | {"device": (("program_error", 0.05),)}
    changes["resnet20-0.5-quantised"] = "resnet20-0.5", gentle | {"device": (("states", 16),), "dac_bits": 4}
    return {
        f"{name}-cifar10": recipes[f"{start}-cifar10"].replace(start=f"{start}-cifar10", epochs=6, **change)
        for name, (start, change) in changes.items()
    }


def _again(recipes: dict[str, Recipe]) -> dict[str, Recipe]:
    """The recipes of all that are compared, with other seeds: to see what a training's chance decides."""
    compared = {name: recipe for name, recipe in recipes.items() if recipe.network not in ONCE and not recipe.binary}
    return {
        again(name, seed): recipe.replace(seed=seed, start=recipe.start and again(recipe.start, seed))
        for name, recipe in compared.items()
        for seed in AGAIN
    }


def _twin(name: str, recipe: Recipe) -> Recipe:
    """The digits' twin of a recipe for CIFAR-10: half as wide, in epochs that take one core a minute at most."""
    return recipe.replace(
        data="digits",
        width=round(recipe.width / 2, 3),
        epochs=DIGITS_EPOCHS.get(name, 24 if recipe.frozen_statistics else 12),
        batch=64,
        label_smoothing=0.0,
        flip=False,
        start=recipe.start.replace("-cifar10", "-digits"),
    )


def _recipes() -> dict[str, Recipe]:
    smooth: dict[str, Any] = {"label_smoothing": 0.1}
    cifar10 = _ladder() | {
        "vgg8-cifar10": Recipe("cifar10", "vgg8", 0.25, epochs=24, **smooth),
        "vgg8-0.375-cifar10": Recipe("cifar10", "vgg8", 0.375, epochs=24, **smooth),
        "mobilenetv2-cifar10": Recipe("cifar10", "mobilenetv2", 0.5, epochs=28, lr=0.1, **smooth),
        "mlp-cifar10": Recipe("cifar10", "mlp", 0.5, epochs=24, lr=0.1, **smooth),
    }
    cifar10 |= _tuned(cifar10)
    start = "vgg8-0.375-cifar10"
    cifar10["vgg8-0.375-binary-cifar10"] = cifar10[start].replace(start=start, epochs=16, lr=0.1, binary=True)
    stems = {name.removesuffix("-cifar10"): recipe for name, recipe in cifar10.items()}
    recipes = cifar10 | {f"{stem}-digits": _twin(stem, recipe) for stem, recipe in stems.items()}
    return recipes | _again(recipes)


RECIPES = _recipes()
