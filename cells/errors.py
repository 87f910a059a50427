"""Every fault that a user can cause or mend, each a `BcsubError`.

A message is one line: the thing, what was expected, what came, what to do next.
The command line prints it and exits 1, as it does for what the system refuses (a full disk); any
other exception is a bug and keeps its traceback.
"""


class BcsubError(Exception):
    """A fault that the user can mend; its text is one line."""


class ArchiveError(BcsubError):
    """The archive of images and labels is not what the competition says it is."""


class CompetitionError(BcsubError):
    """A competition file is missing or says something impossible."""


class FetchError(BcsubError):
    """A public source cannot be had, or is not what was published."""


class DatasetError(BcsubError):
    """The prepared dataset is missing, damaged or does not fit what is asked."""


class ReviewError(BcsubError):
    """The table of decisions about rows says something impossible."""


class RecipeError(BcsubError):
    """A recipe, preset or member's name is wrong."""


class RunError(BcsubError):
    """A run folder is incomplete, stale or does not fit the dataset."""


class WeightsError(BcsubError):
    """Pretrained weights are missing or do not fit the network."""


class BackendError(BcsubError):
    """Keras is told to compute with something that is not here, or that we do not train with."""


class ExportError(BcsubError):
    """A network holds something that the uploaded runtime cannot express."""


class EnsembleError(BcsubError):
    """Members, weights or views do not fit together."""


class SubmissionError(BcsubError):
    """The submission's folder or zip is not what the platform takes."""
