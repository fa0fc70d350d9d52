"""`gpu-var preset`: the configurations to start from."""

import sys

from gpu_var.batch.errors import UsageError
from gpu_var.tables import presets


def command(name: str | None) -> int:
    """List the presets with their first line, or print one as it stands."""
    if name is None:
        names = presets.names()
        width = max(map(len, names))
        for each in names:
            first = presets.text(each).splitlines()[0].lstrip("# ")
            print(f"{each:{width}}  {first}")
        print('\nIn margin.toml, before any table: preset = "NAME". Keys of your own override those of the preset.')
        return 0
    try:
        sys.stdout.write(presets.text(name))
    except LookupError as error:
        raise UsageError(str(error.args[0])) from None
    return 0
