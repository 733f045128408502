"""import and export: routing that others recorded becomes a trace, and a trace becomes arrays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import check_at_least_one, check_output_file, open_trace
from condsim.cli.commands import cli_command
from condsim.cli.output import out, print_json, say, suggest
from condsim.cli.recorded import summary
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.importers import Imported
    from condsim.trace import Trace

ARRAYS = (".npy", ".npz")
"""As in condsim.trace.routing_file, which would bring NumPy into --help."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the files leave unsaid. The texts below are the command line's help.

    Parameters
    ----------
    format
        What wrote the files. Default: recognised by what they hold.
    experts
        Experts of a layer, without shared ones. Default: as the files say, else the highest id + 1.
    top_k
        Experts a token, for files that do not say it (counts, base64), and to check the others.
    layers
        Layers that the files hold, for files that do not say it (base64), and to check the others.
    phase
        prefill: a sequence is one step; decode: a token is. Default: as the files say, else
        prefill.
    keep_constant
        Keep runs of eight or more equal tokens, which are dummy batches as a rule.
    programs
        A captured trace of the same model: with its programs, the result can be simulated.
    force
        Replace a trace that has measurements; they are lost.
    """

    format: str | None = None
    experts: int | None = None
    top_k: int | None = None
    layers: int | None = None
    phase: str | None = None
    keep_constant: bool = False
    programs: str | None = None
    force: bool = False

    def check(self) -> None:
        """Raises CondsimError for what no file could be imported with."""
        check_at_least_one("experts", self.experts)
        check_at_least_one("top-k", self.top_k)
        check_at_least_one("layers", self.layers)

    def read(self, files: tuple[Path, ...], name: str, programs: Trace | None) -> Imported:
        """Import the files. name: of the trace. programs: a captured trace of the same model."""
        from condsim.importers import ModelShape, read_routing

        shape = ModelShape(self.layers, self.experts, self.top_k)
        if programs is not None:
            shape = shape.filled(ModelShape.of(programs))
        return read_routing(files, self.format, shape, self.phase, name, self.keep_constant)


AS_RECORDED = ImportOptions()


@cli_command("import", "Read routing that a serving engine or a trainer recorded.", place=30)
def import_(
    *files: Path,
    output: Annotated[Path, Parameter(alias="-o")],
    options: Annotated[ImportOptions, Parameter(name="*")] = AS_RECORDED,
    json: bool = False,
) -> None:
    """Read routing that a serving engine or a training framework recorded; write it as a trace.

    Parameters
    ----------
    files
        One or several, of one format and one model: NPY, NPZ, JSON, JSON lines, CSV, Parquet.
    output
        Folder of the trace.
    json
        Print JSON.
    """
    options.check()
    if not files:
        raise CondsimError("name at least one file to import")
    programs = None if options.programs is None else open_trace(options.programs)
    from condsim.trace.store import check_target

    check_target(output, options.force)
    imported = options.read(files, output.resolve().name, programs)
    trace = imported.trace if programs is None else programs.with_routing(imported.trace)
    trace.save(output, options.force)
    _report(trace, imported, output, json)


def _report(trace: Trace, imported: Imported, folder: Path, json: bool) -> None:
    """Print what is in the trace now, and what each file held."""
    about = summary(trace)
    rows: list[dict[str, Any]] = [asdict(numbers) for numbers in imported.files]
    if json:
        print_json({"command": "import", "trace": str(folder), **about, "files": rows})
        return
    from condsim.show.catalogue import imported_files, trace_lines

    out().print(*trace_lines(about, str(folder)), imported_files(rows), sep="\n")
    if trace.header.has_programs:
        suggest(f"condsim simulate {folder}")
    else:
        suggest(f"condsim app {folder}")


@cli_command("export", "Write a trace's routing as arrays that others read.", place=40)
def export(trace: str, /, *, output: Annotated[Path, Parameter(alias="-o")]) -> None:
    """Write which experts each token took as an array [tokens, layers, k], -1 where none.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim.
    output
        The file to write: .npy, the array alone, or .npz, with weights, steps and numbers of
        experts beside it.
    """
    check_output_file(output, ARRAYS)
    lost = open_trace(trace).export_routing(output)
    for sentence in lost:
        say(f"note: {sentence}")
    out().print(f"wrote {output}", markup=False)
