"""All studies by the name of their notebook. A study is imported when it is asked for."""

import importlib
from collections.abc import Iterator, Mapping

from memlib.base.checks import fail
from memlib.studies.study import Study

#: The module that holds the `STUDY` of each notebook.
MODULES = {
    "01_devices": "memlib.studies.s01_devices.study",
    "02_mapping": "memlib.studies.s02_mapping.study",
    "03_networks": "memlib.studies.s03_networks",
    "04_non_idealities": "memlib.studies.s04_non_idealities",
    "05_tile_size": "memlib.studies.s05_tile_size",
    "06_power": "memlib.studies.s06_power.study",
    "07_capacity": "memlib.studies.s07_capacity.study",
    "08_parasitics": "memlib.studies.s08_parasitics.study",
    "09_design_space": "memlib.studies.s09_design_space.study",
    "10_retention": "memlib.studies.s10_retention.study",
    "11_spice": "memlib.studies.s11_spice.study",
    "12_training": "memlib.studies.s12_training",
    "13_memtorch": "memlib.studies.s13_memtorch.study",
}


class Studies(Mapping[str, Study]):
    """The registry: name of a notebook -> its study."""

    def __getitem__(self, name: str) -> Study:
        if name not in MODULES:
            raise KeyError(name)
        return importlib.import_module(MODULES[name]).STUDY

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


STUDIES = Studies()


def study_of_figure(name: str) -> Study:
    """The study that draws a figure, such as "07_capacity_layouts".

    Raises:
        ValueError: if none does.
    """
    owner = next((key for key in MODULES if key[:3] == name[:3]), None)
    if owner is None or name not in STUDIES[owner].drawings:
        known = ", ".join(STUDIES[owner].drawings) if owner else "none"
        fail("figure", name, f"one that a study draws; {owner or 'no study'} draws {known}")
    return STUDIES[owner]
