"""The networks that several studies compare, by name without the data set; `memlib.studies.study.networks` adds it."""

#: ResNet-20 in three connectivities, narrow to wide.
ORDINARY = ("resnet20-0.25", "resnet20-0.5", "resnet20", "resnet20-1.41")
GROUPED = ("resnet20_grouped-0.5", "resnet20_grouped-1", "resnet20_grouped-2")
SEPARABLE = ("resnet20_separable-0.65", "resnet20_separable-1.4", "resnet20_separable-2.9")
#: ResNet-20 of full width without some of its weights, or of its output channels.
PRUNED_WEIGHTS = ("resnet20-weights0.75", "resnet20-weights0.9")
PRUNED_CHANNELS = ("resnet20-channels0.6",)
#: The control of pruned networks: trained on likewise, but whole.
FINETUNED = "resnet20-0.5-finetuned"
#: One of each connectivity, with about as many parameters; trained on with noise, or for as many epochs without.
EQUALS = (ORDINARY[1], GROUPED[1], SEPARABLE[1])
AWARE = tuple(f"{name}-noise" for name in EQUALS)
LONGER = tuple(f"{name}-longer" for name in EQUALS)
#: Trained on with 16 conductance states and 4-bit DACs.
QUANTISED = "resnet20-0.5-quantised"
#: VGG-8 of two widths and with binary weights, then MobileNetV2 and an MLP, which no verdict ranks.
OTHERS = ("vgg8", "vgg8-0.375", "vgg8-0.375-binary", "mobilenetv2", "mlp")
ALL = (
    *OTHERS, *ORDINARY, *GROUPED, *SEPARABLE, *PRUNED_WEIGHTS, *PRUNED_CHANNELS, FINETUNED, *LONGER, *AWARE, QUANTISED,
)  # fmt: skip
