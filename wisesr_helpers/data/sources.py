"""The six datasets of the paper and of the report: their names, and where each can be had."""

import dataclasses
import pathlib

from wisesr_helpers.storage import default_cache


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a dataset comes from.

    Attributes:
        name: What users type.
        title: As readers know it.
        kaggle: Its address on Kaggle, ``owner/dataset``; "" for those that Keras downloads itself.
        zip_bytes: Size of Kaggle's archive; None where it is not known.
        unpacked_bytes: What the archive unpacks to at the most; more is refused.
        terms: What its owners allow, in a few words.
    """

    name: str
    title: str
    kaggle: str
    zip_bytes: int | None
    unpacked_bytes: int
    terms: str

    @property
    def address(self):
        """The page to get it from by hand."""
        if self.kaggle:
            return f"https://www.kaggle.com/datasets/{self.kaggle}"
        return f"https://keras.io/api/datasets/{self.name}/"


GIB = 2**30
SOURCES = {
    source.name: source
    for source in (
        Source(
            "sub_imagenet",
            "Sub-ImageNet (70 classes)",
            "mohammadrahimzadeh/imagenet-70classes",
            2_753_347_742,
            8 * GIB,
            "ImageNet's terms: non-commercial research and education",
        ),
        Source(
            "intel",
            "Intel Image Classification",
            "puneet6060/intel-image-classification",
            363_152_213,
            GIB,
            "its authors' copyright: the images may not be passed on",
        ),
        Source("mit", "MIT Indoor Scenes", "itsahmad/indoor-scenes-cvpr-2019", None, 8 * GIB, "research use only"),
        Source("mnist", "MNIST", "", None, GIB, "CC BY-SA 3.0"),
        Source("cifar10", "CIFAR-10", "", None, GIB, "free to use with citation"),
        Source("tiny_imagenet", "Tiny-ImageNet", "akash2sharma/tiny-imagenet", None, 2 * GIB, "ImageNet's terms"),
    )
}


def get_source(name):
    """The dataset of that name.

    Raises:
        ValueError: There is none; the valid names are listed.
    """
    if name not in SOURCES:
        raise ValueError(f"Unknown dataset '{name}'. Valid datasets: {', '.join(SOURCES)}.")
    return SOURCES[name]


def how_to_get(source, folder):
    """The two ways to a dataset, as a sentence that ends a message.

    Args:
        source: The Source.
        folder: Where it is looked for. What is fetched goes to the folder itself if it is called as the dataset,
            else to one of that name in it.
    """
    folder = pathlib.Path(folder)
    command = f"python -m wisesr_helpers.data fetch {source.name}"
    if not source.kaggle:
        return (
            f"Two ways to get it: run {command} where there is a network; or by hand, copy the folder "
            f"~/.keras/datasets of a computer that has it to '{folder}' (about the data: {source.address})."
        )
    data_dir = folder.parent if folder.name == source.name else folder
    if data_dir != default_cache():
        command += f' --data-dir "{data_dir}"'
    return (
        f"Two ways to get it: from Kaggle with {command}; or by hand, open {source.address} in a browser, download "
        f"the archive and unpack it into '{folder}'."
    )
