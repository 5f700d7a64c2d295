"""The README's tables: the main claims, how many there are, and what each notebook takes, from figures/paper.

python -m memlib.artifact.readme_tables    # write them into README.md again
"""

import csv
import re
from collections import Counter

from memlib.artifact.report import claims
from memlib.base.files import project_root, write_whole
from memlib.evidence.claims import effect_text

VERDICTS = ("confirmed", "refuted", "undecided")
AT_3 = "programming error 0.03, dense, "
PACKED = "the sparse layout, packed for the fewest tiles, needs less energy than the dense one"
AT_HRS = "programming error 0.05: with unused cells at HRS, the sparse layout loses more than the dense one without"
#: The pictures of what their own claims' figure does not show.
PICTURES = {
    "formula": "09_design_space_formula",
    "search": "09_design_space_search",
    "noise, connectivity": "07_capacity_differences",
    "noise, pruning": "07_capacity_differences",
}
#: The claims that the README shows: what they are about, the figure, and the statement.
HEADLINES = (
    ("power", "06_power", f"ResNet-20, ISAAC, 32 nm: {PACKED}"),
    ("power", "06_power", f"ResNet-20, Li et al. 2022, 22 nm: {PACKED}"),
    ("power", "06_power", f"VGG-8 (width 0.25), ISAAC, 32 nm: {PACKED}"),
    ("power", "06_power", f"VGG-8 (width 0.25), Li et al. 2022, 22 nm: {PACKED}"),
    ("area", "02_mapping_footprint", "ResNet-20: sparse packed needs over 100 times the tiles of dense (128x128)"),
    (
        "noise, layout", "04_non_idealities",
        "ResNet-20, programming error 0.05: without unused cells, the sparse layout loses more than the dense one",
    ),
    (
        "noise, layout", "04_non_idealities",
        "ResNet-20, programming error 0.05: in the sparse layout, unused cells at HRS add to the loss",
    ),
    ("noise, layout", "04_non_idealities", f"ResNet-20 (width 0.25), {AT_HRS}"),
    ("noise, layout", "04_non_idealities", f"ResNet-20, {AT_HRS}"),
    ("noise, layout", "04_non_idealities", f"VGG-8 (width 0.25), {AT_HRS}"),
    (
        "noise, connectivity", "07_capacity",
        f"{AT_3}equal parameters: ResNet-20, grouped loses more than ResNet-20 (width 0.5)",
    ),
    (
        "noise, connectivity", "07_capacity",
        f"{AT_3}equal parameters: ResNet-20, separable (width 1.4) loses more than ResNet-20 (width 0.5)",
    ),
    (
        "noise, connectivity", "07_capacity",
        f"{AT_3}equal parameters: ResNet-20, grouped, unused cells at HRS loses more than ResNet-20 (width 0.5)",
    ),
    (
        "noise, trainings", "07_capacity_trainings",
        f"{AT_3}equal parameters, 3 trainings each: grouped networks lose more than ordinary ones, mean of 3 sizes",
    ),
    (
        "noise, trainings", "07_capacity_trainings",
        f"{AT_3}equal parameters, 3 trainings each: separable networks lose more than ordinary ones, mean of 3 sizes",
    ),
    (
        "noise, pruning", "07_capacity",
        f"{AT_3}equal parameters: ResNet-20, 75 % of its weights pruned loses more than ResNet-20 (width 0.5), "
        "fine-tuned",
    ),
    ("noise, capacity", "07_capacity", f"{AT_3}width: ordinary: the narrowest network loses more than the widest"),
    ("noise, capacity", "07_capacity", f"{AT_3}width: grouped: the narrowest network loses more than the widest"),
    (
        "training", "12_training",
        "ResNet-20 (width 0.5), programming error 0.05: noise-aware training recovers at least half of what as long a "
        "plain one loses (half of it less what is left)",
    ),
    (
        "recalibration", "12_training",
        "ResNet-20 (width 0.5), programming error 0.05: recalibrating batch norm recovers at least half of the loss "
        "(half of it less what is left)",
    ),
    (
        "tile size", "05_tile_size",
        "ResNet-20: with a 4-bit ADC, tiles of 32 rows are over 1 point more accurate than tiles of 256 rows (20 % "
        "device-to-device)",
    ),
    (
        "tile size", "05_tile_size",
        "ResNet-20: with an 8-bit ADC, tiles of 32 and 256 rows differ by less than 1 point (20 % device-to-device)",
    ),
    (
        "ADC range", "05_tile_size",
        "ResNet-20: with an 8-bit ADC, a calibrated range is over 1 point more accurate than the full range (32 rows, "
        "20 % device-to-device)",
    ),
    (
        "faults", "05_tile_size",
        "ResNet-20: 1 % of cells stuck at LRS costs more than 1 % stuck at HRS (128 rows, 8 bits)",
    ),
    (
        "wires", "08_parasitics",
        "ResNet-20, 10k_100k: wires of 1 ohm a segment cost over 1 point of accuracy on 64x64 tiles",
    ),
    (
        "wires", "08_parasitics",
        "ResNet-20, 10k_100k: wires of 1 ohm a segment cost over 1 point of accuracy on 128x128 tiles",
    ),
    (
        "wires", "08_parasitics",
        "ResNet-20, 10k_100k: wires of 1 ohm a segment cost over 1 point of accuracy on 128x128 tiles (columns "
        "rescaled)",
    ),
    (
        "formula", "09_design_space",
        "ResNet-20: the formula predicts losses of held-out designs with an rms error under 3 points",
    ),
    (
        "formula", "09_design_space",
        "ResNet-20 (width 0.5), cmo_hfox, 1 day, wires of 1 ohm: the formula's design for under 5 points (dense, 64 "
        "rows, 5 ADC bits) loses no more",
    ),
    (
        "search", "09_design_space",
        "after 48 of 360 designs, search dominates more of the front's volume than random search",
    ),
    (
        "retention", "10_retention",
        "binary, 25 °C: the layer gains over 24 points on average beyond 1e5 s (1e6 s, 1e7 s, 1e8 s)",
    ),
    ("retention", "10_retention", "plain, 25 °C, 1e7 s: multi-level weights lose more than binary ones"),
    (
        "writing", "01_devices_write_verify",
        "write-verify to 1 % of the range, reads with 1 % noise: half the tolerance removes over a third of the error",
    ),
    (
        "MemTorch's tiles", "13_memtorch",
        "MobileNetV2 (width 0.5): with 8-bit ADCs and 0.1 device-to-device, tiles of 128x128 and 256x64 differ by less "
        "than 1 point",
    ),
)  # fmt: skip


def times() -> dict[str, dict[str, str]]:
    """What was measured of each notebook's run at full size, by its name: figures/paper/times.csv."""
    with (project_root() / "figures" / "paper" / "times.csv").open() as file:
        return {row["notebook"]: row for row in csv.DictReader(file)}


def _notebook(figure: str) -> str:
    """The notebook that makes a figure."""
    return next(stem for stem in times() if stem[:2] == figure[:2])


def headlines() -> str:
    """The README's table of claims.

    Raises:
        ValueError: if a figure makes no such claim.
    """
    known = {(name, claim["statement"]): (claim, v) for name, claim, v in claims(project_root() / "figures" / "paper")}
    lines = ["| of | claim | verdict | effect | figure | command, core-minutes |", "|---|---|---|---|---|---|"]
    measured = times()
    for subject, figure, statement in HEADLINES:
        if (figure, statement) not in known:
            raise ValueError(f"figure={figure!r}: claims no such thing as {statement!r}")
        claim, verdict = known[figure, statement]
        verdict = f"**{verdict}**" if verdict.startswith("refuted") else verdict
        stem = _notebook(figure)
        shown = PICTURES.get(subject, figure)
        links = f"[{shown}](figures/paper/{shown}.png), [notebook](notebooks/{stem}.ipynb)"
        cost = f"`--preset paper --only {stem[:2]}`, {measured[stem]['core_minutes']}"
        lines.append(f"| {subject} | {statement} | {verdict} | {effect_text(claim)} | {links} | {cost} |")
    return "\n".join(lines)


def counts() -> str:
    """The README's table of how many claims of each notebook were confirmed, refuted and undecided."""
    found: dict[str, Counter[str]] = {}
    for figure, claim, _ in claims(project_root() / "figures" / "paper"):
        of = found.setdefault(_notebook(figure), Counter())
        of.update([claim["verdict"], *(["exploratory"] if claim["exploratory"] else [])])
    lines = [f"| notebook | {' | '.join(VERDICTS)} | all | exploratory of these |", "|---|---|---|---|---|---|"]
    for stem, of in found.items():
        lines.append(f"| [{stem}](notebooks/{stem}.ipynb) | {_counted(of)} |")
    return "\n".join([*lines, f"| all | {_counted(sum(found.values(), Counter()))} |"])


def _counted(of: Counter[str]) -> str:
    numbers = [of[verdict] for verdict in VERDICTS]
    return " | ".join(map(str, [*numbers, sum(numbers), of["exploratory"]]))


def costs() -> str:
    """The README's table of what each notebook takes at full size."""
    lines = [
        "| notebook | command | core-minutes | minutes from its points | peak memory, GB |",
        "|---|---|---|---|---|",
    ]
    for stem, row in times().items():
        command = f"`./run_all.sh --preset paper --only {stem[:2]}`"
        lines.append(f"| {stem} | {command} | {row['core_minutes']} | {row['from_points']} | {row['peak_gb']} |")
    total = sum(float(row["core_minutes"]) for row in times().values())
    return "\n".join([*lines, f"| all | `./run_all.sh --preset paper` | {total:.0f} ({total / 60:.0f} hours) | | |"])


def filled_in(text: str) -> str:
    """A document with its tables made again: each stands between `<!-- NAME -->` and `<!-- end -->`."""
    for table in (headlines, counts, costs):
        start = f"<!-- {table.__name__} -->"
        text = re.sub(f"{start}.*?<!-- end -->", f"{start}\n{table()}\n<!-- end -->", text, flags=re.S)
    return text


if __name__ == "__main__":
    readme = project_root() / "README.md"
    write_whole(readme, filled_in(readme.read_text()))
