"""`pluglab.testing`: checks of components, for their authors. It is the distribution `pluglab-testing`."""

try:
    from pluglab_testing import Fault as Fault
    from pluglab_testing import Part as Part
    from pluglab_testing import Result as Result
    from pluglab_testing import Subject as Subject
    from pluglab_testing import check as check
    from pluglab_testing import components as components
    from pluglab_testing import faults as faults
    from pluglab_testing import results as results
except ModuleNotFoundError as error:
    if error.name != "pluglab_testing":
        raise
    raise ImportError(
        "pluglab.testing comes with another distribution: pip install pluglab-testing"
    ) from None
