"""What a re-encoding of images does: accuracies of networks, and one claim each of 04 and 05, on the images at hand.

    python benchmarks/image_sets.py OUT.csv --networks original [--store POINTS.sqlite]

It measures the checkpoints of the tree that it imports on the images that MEMLIB_DATA names. So another commit's
networks are measured by its own code: PYTHONPATH=../other python benchmarks/image_sets.py OUT.csv --networks JPEG
(e16641c reads PNG in class folders, but no WebP). figures/paper/image_sets.csv holds such rows, and those of e16641c's
manifest and claims for JPEG images.
"""

import argparse
from pathlib import Path

import pandas as pd

from memlib.base.progress_bar import progress
from memlib.evidence.comparisons import Chips
from memlib.evidence.intervals import Interval, crossed_interval, difference_interval
from memlib.layers.classification import correct
from memlib.studies import s04_non_idealities as non_idealities, s05_tile_size as tile_size
from memlib.studies.shared.effects import seeds_of
from memlib.sweeps import sweep
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import load_checkpoint, read_manifest

LAYOUT_CLAIM = "program_error/formed_sparse_against_dense/resnet20-0.25"
TILE_CLAIM = "rows_at_4_bits"


def accuracies() -> dict[str, Interval]:
    """Of every network for CIFAR-10, in float32 on the whole test set."""
    images, labels = data_sets.load_images("cifar10", "test").head(10_000)
    names = [name for name, entry in read_manifest().items() if entry.get("recipe", {}).get("data") == "cifar10"]
    hits = {name: correct(load_checkpoint(name), images, labels) for name in progress(names, unit="networks")}
    return {name: crossed_interval(right[None].numpy().astype(float)) for name, right in hits.items()}


def layout_claim(store: Path) -> Interval:
    """How much more a sparse ResNet-20 of a quarter of its width loses, unused cells at HRS, than a dense one."""
    p = paper(non_idealities.STUDY)
    p.claim_checkpoints, p.claim_effects, p.claim_severities = ["resnet20-0.25-cifar10"], ["program_error"], [0.05]
    [comparison] = [c for c in non_idealities.comparisons(p) if c.statement.id == LAYOUT_CLAIM]
    seeds = seeds_of(p.claim_seeds)
    return comparison.interval(Chips(sweep(comparison.points, non_idealities.STUDY.evaluate, store, seeds)))


def tile_claim(store: Path) -> Interval:
    """By how many points ResNet-20 is more accurate on tiles of 32 rows than of 256, with a 4-bit ADC."""
    p = paper(tile_size.STUDY)
    [claim] = [claim for claim in tile_size.NETWORK_CLAIMS if claim.id == TILE_CLAIM]
    points = [at.point("resnet20-cifar10", p.claim_images, p.device) for at in (claim.first, claim.second)]
    chips = Chips(sweep(points, tile_size.STUDY.evaluate, store, seeds_of(p.claim_seeds)))
    return difference_interval(*(chips.hits(point) for point in points))


def paper(study):
    """A study's parameters in the paper preset."""
    return study.namespace(study.preset("paper"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", required=True, help="what they were trained on, for the table")
    parser.add_argument("--store", type=Path, default=Path("results/image_sets.sqlite"))
    arguments = parser.parse_args()
    arguments.store.parent.mkdir(parents=True, exist_ok=True)
    found = accuracies()
    known = {LAYOUT_CLAIM: "resnet20-0.25-cifar10", f"{TILE_CLAIM}/resnet20": "resnet20-cifar10"}
    for (claim, network), measure in zip(known.items(), (layout_claim, tile_claim), strict=True):
        if network in found:
            found[claim] = measure(arguments.store)
    at = {"networks": arguments.networks, "images": data_sets.load_images("cifar10", "test").origin}
    rows = [
        {"what": what, **at, "value": i.mean, "low": i.low, "high": i.high, "n": i.n, "count": i.images}
        for what, i in found.items()
    ]
    pd.DataFrame(rows).to_csv(arguments.out, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
