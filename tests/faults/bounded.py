"""A command with less than it is used to: python bounded.py BYTES COMMAND…

No file may grow beyond BYTES, and root gives up the right to write what may not be written; a user has none to give up.
"""

import ctypes
import os
import resource
import sys

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1

if __name__ == "__main__":
    size = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if os.geteuid() == 0:
        library = ctypes.CDLL(None, use_errno=True)
        if library.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0):
            sys.exit(f"cannot give up CAP_DAC_OVERRIDE: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[2], sys.argv[2:])
