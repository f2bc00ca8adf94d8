"""What a run found, and its form in JSON; `report.schema.json` describes it field by field."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.host.load.histogram import PERCENTILES, Histogram, bounds_of
from services.host.load.options import LoadOptions
from services.host.load.record import TRACKS, Track

FORMAT = "coterie-load/1"
VERSIONED = ("coterie", "grpcio", "protobuf", "uvloop")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run."""

    options: LoadOptions
    mix: str
    requests: str
    addresses: Mapping[str, str]
    begun: str
    measured_s: float
    interrupted: bool
    load_before: tuple[float, ...]
    load_after: tuple[float, ...]
    tracks: Mapping[str, Track]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "format": FORMAT,
            "begun": self.begun,
            "measured_s": round(self.measured_s, 3),
            "interrupted": self.interrupted,
            "options": asdict(self.options),
            "mix": self.mix,
            "requests": self.requests,
            "target": dict(self.addresses),
            "versions": versions(),
            "machine": machine()
            | {
                "load_before": list(self.load_before),
                "load_after": list(self.load_after),
            },
            "tracks": {name: self._track(name, one) for name, one in self.tracks.items()},
        }

    def _track(self, name: str, track: Track) -> dict[str, Any]:
        return {
            "meaning": TRACKS[name],
            "calls": track.calls,
            "units": track.units,
            "answered": track.answered,
            "accepted": track.accepted,
            "asked_per_s": round(track.units / self.measured_s, 3),
            "accepted_per_s": round(track.in_time / self.measured_s, 3),
            "errors": dict(sorted(track.errors.items())),
            "refused": dict(sorted(track.refused.items())),
            "latency_us": latencies(track.latency),
            "histogram_us": [
                [*bounds_of(bucket), count] for bucket, count in track.latency.buckets()
            ],
            "seconds": [
                {
                    "second": number,
                    "asked": one.asked,
                    "accepted": one.accepted,
                    "failed": one.failed,
                    "latency_us": latencies(one.latency),
                }
                for number, one in sorted(track.seconds.items())
            ],
        }


def latencies(histogram: Histogram) -> dict[str, float]:
    """Return count, mean, percentiles and the greatest, in microseconds."""
    found = {f"p{percent:g}": histogram.percentile(percent) for percent in PERCENTILES}
    return {
        "count": histogram.count,
        "mean": round(histogram.mean(), 1),
        **found,
        "max": histogram.greatest,
    }


def versions() -> dict[str, str]:
    """Return what the harness runs on; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Return where the harness runs; the deployment may be elsewhere."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": os.cpu_count() or 0,
    }


def load_average() -> tuple[float, ...]:
    """Return how many processes wanted to run in the last 1, 5 and 15 minutes, where known."""
    try:
        return tuple(round(each, 2) for each in os.getloadavg())
    except OSError:
        return ()
