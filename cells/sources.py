"""The public sources as data: where they lie, how they are checked, who made them.

BloodMNIST's addresses and MD5 are those of MedMNIST's own `medmnist/info.py`. For PBC no checksum
stands beside the download; Mendeley Data's list of the data set's files holds the SHA-256.
"""

from dataclasses import dataclass, field

ACEVEDO = (
    "A. Acevedo et al., A dataset of microscopic peripheral blood cell images for development of "
    "automatic recognition systems, Data in Brief 30 (2020) 105474, doi:10.17632/snkd93bnjr.1"
)
YANG = (
    "J. Yang et al., MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical "
    "image classification, Scientific Data 10 (2023) 41, doi:10.1038/s41597-022-01721-8"
)


@dataclass(frozen=True)
class Download:
    """One published file.

    checksum: `md5:…` or `sha256:…`; None where only the publisher's `listing` may know it, a JSON
    list of {filename, content_details: {sha256_hash}}.
    """

    filename: str
    url: str
    checksum: str | None = None
    listing: str | None = None


@dataclass(frozen=True)
class Source:
    """A public data set.

    images: how many it has in all, by split, or by class's folder.
    """

    title: str
    page: str
    licence: str
    citation: tuple[str, ...]
    images: dict[str, int]


@dataclass(frozen=True)
class MedMnist(Source):
    """An npz for each of several sizes, with published splits. downloads: px → file."""

    downloads: dict[int, Download] = field(default_factory=dict)


@dataclass(frozen=True)
class Folders(Source):
    """A zip of one folder per class, without splits of its own.

    folders: in the order of the labels of `like`, whose splits sort it: a smaller version of the
    same pictures, cut out of their middle of crop_px.
    """

    download: Download
    folders: tuple[str, ...]
    like: Download
    crop_px: int


_ZENODO = "https://zenodo.org/records/10519652/files"
_MENDELEY = "https://data.mendeley.com"
_SMALLEST = Download(
    "bloodmnist.npz", f"{_ZENODO}/bloodmnist.npz", "md5:7053d0359d879ad8a5505303e11de1dc"
)

BLOODMNIST = MedMnist(
    title="BloodMNIST, eight kinds of normal blood cells",
    page="https://zenodo.org/records/10519652",
    licence="CC BY 4.0",
    citation=(YANG, ACEVEDO),
    images={"train": 11959, "val": 1712, "test": 3421},
    downloads={
        28: _SMALLEST,
        64: Download(
            "bloodmnist_64.npz",
            f"{_ZENODO}/bloodmnist_64.npz",
            "md5:2b94928a2ae4916078ca51e05b6b800b",
        ),
        128: Download(
            "bloodmnist_128.npz",
            f"{_ZENODO}/bloodmnist_128.npz",
            "md5:adace1e0ed228fccda1f39692059dd4c",
        ),
        224: Download(
            "bloodmnist_224.npz",
            f"{_ZENODO}/bloodmnist_224.npz",
            "md5:b718ff6835fcbdb22ba9eacccd7b2601",
        ),
    },
)

PBC = Folders(
    title="PBC, whole views of eight kinds of normal blood cells, 360 x 363 px",
    page=f"{_MENDELEY}/datasets/snkd93bnjr/1",
    licence="CC BY 4.0",
    citation=(ACEVEDO,),
    images={
        "basophil": 1218,
        "eosinophil": 3117,
        "erythroblast": 1551,
        "ig": 2895,
        "lymphocyte": 1214,
        "monocyte": 1420,
        "neutrophil": 3329,
        "platelet": 2348,
    },
    download=Download(
        "PBC_dataset_normal_DIB.zip",
        f"{_MENDELEY}/public-files/datasets/snkd93bnjr/files/"
        "2fc38728-2ae7-4a62-a857-032af82334c3/file_downloaded",
        listing=f"{_MENDELEY}/public-api/datasets/snkd93bnjr/files?folder_id=root&version=1",
    ),
    folders=(
        "basophil",
        "eosinophil",
        "erythroblast",
        "ig",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
    like=_SMALLEST,
    crop_px=200,
)

SOURCES: dict[str, MedMnist | Folders] = {"bloodmnist": BLOODMNIST, "pbc": PBC}
