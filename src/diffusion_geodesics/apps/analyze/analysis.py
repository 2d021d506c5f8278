"""The result of an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffusion_geodesics.apps.analyze.figures import Figures
from diffusion_geodesics.apps.analyze.part import PartAnalysis
from diffusion_geodesics.apps.analyze.settings import AnalysisSettings
from diffusion_geodesics.apps.analyze.summary import Claim, Interval, claims, interval
from diffusion_geodesics.apps.analyze.variants import Variant
from diffusion_geodesics.diffusion import Ledger
from diffusion_geodesics.report import Written


@dataclass(frozen=True)
class Analysis:
    """What was found about clips.

    Args:
        model_id, model_hash: the model, and the SHA-256 of its weights.
        settings: every choice.
        parts: of all clips, in order; a clip without a cut is one part.
        notes: what was done to the clips, in words.
        ledger: cost by stage.
        device, dtype: of the networks.
    """

    model_id: str
    model_hash: str
    settings: AnalysisSettings
    parts: tuple[PartAnalysis, ...]
    notes: tuple[str, ...]
    ledger: Ledger
    device: str
    dtype: str

    @property
    def strange(self) -> dict[str, tuple[str, ...]]:
        """Parts that the model does not know, by name, and the reasons."""
        found = {p.name: p.strange for p in self.parts}
        return {name: reasons for name, reasons in found.items() if reasons}

    @property
    def counted(self) -> tuple[PartAnalysis, ...]:
        """The parts that the summary is over: those that the model knows, or all if it knows
        none."""
        return tuple(p for p in self.parts if not p.strange) or self.parts

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before the figures are believed, in plain words."""
        from diffusion_geodesics.apps.analyze.telling import warnings_of

        return warnings_of(self)

    @property
    def summary(self) -> Mapping[Variant, Mapping[str, Interval]]:
        """Every figure of every variant, as a mean with its 95% interval over clips, or over
        windows where there are fewer than five clips; clips that the model does not know are left
        out if it knows any."""
        return {
            variant: {
                name: interval(self.counted, variant, name, self.settings.seed)
                for name in Figures.names()
            }
            for variant in Variant
            if any(variant in part.figures for part in self.counted)
        }

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The paper's claims beside what was found; none without controls, and none where the
        model knows none of the clips."""
        if not self.settings.controls or len(self.strange) == len(self.parts):
            return ()
        return claims(self.counted, self.settings.seed)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Written:
        """Write the output folder: report.html, result.json, windows.csv, frames.csv, strips.

        Raises:
            FileExistsError: the folder exists, and is not one of ours to overwrite.
        """
        from diffusion_geodesics.apps.analyze.telling import report_of
        from diffusion_geodesics.report.analysis_page import write_analysis

        return write_analysis(folder, report_of(self), overwrite=overwrite)
