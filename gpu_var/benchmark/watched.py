"""A device that notes how long its kernels and its transfers take."""

import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_var.cuda.device import Device


class WatchedDevice:
    """A device like another, with the time on it by kernel and that of uploads and downloads.

    Kernels are timed by the device's events; on a device without events, such as the host that runs kernels in tests,
    by the clock. An upload may return before it has ended, and then its rest counts to nobody. Threads may share it;
    what several transfer at a time counts for each.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._launches: list[tuple[str, Any, Any]] = []
        self._one = threading.Lock()
        self.transfers = 0.0
        """Seconds."""

    @property
    def xp(self) -> Any:
        """See `Device.xp`."""
        return self._device.xp

    @property
    def name(self) -> str:
        """See `Device.name`."""
        return self._device.name

    def launch(self, kernel: str, function: str, *args: Any, **more: Any) -> None:
        """See `Device.launch`."""
        with self._one:  # no other thread's kernel between the marks
            begin = self._mark()
            self._device.launch(kernel, function, *args, **more)
            self._launches.append((f"{kernel}.{function}", begin, self._mark()))

    def upload(self, array: npt.NDArray[Any]) -> Any:
        """See `Device.upload`."""
        begin = time.perf_counter()
        out = self._device.upload(array)
        self._transferred(begin)
        return out

    def download(self, array: Any) -> npt.NDArray[Any]:
        """See `Device.download`; what has still to be computed is not counted as transfer."""
        self.wait()
        begin = time.perf_counter()
        out = self._device.download(array)
        self._transferred(begin)
        return out

    def _transferred(self, begin: float) -> None:
        with self._one:
            self.transfers += time.perf_counter() - begin

    def free_bytes(self) -> int:
        """See `Device.free_bytes`."""
        return self._device.free_bytes()

    def wait(self) -> None:
        """Until everything launched has run."""
        if self.xp is not np:
            self.xp.cuda.Device().synchronize()

    def kernels(self) -> dict[str, float]:
        """Seconds on the device by kernel, the longest first."""
        self.wait()
        total: dict[str, float] = {}
        for name, begin, end in self._launches:
            seconds = end - begin if self.xp is np else self.xp.cuda.get_elapsed_time(begin, end) / 1e3
            total[name] = total.get(name, 0.0) + seconds
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def _mark(self) -> Any:
        if self.xp is np:
            return time.perf_counter()
        event = self.xp.cuda.Event()
        event.record()
        return event
