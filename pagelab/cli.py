"""The command `pagelab`: one function for each subcommand, and what it needs is imported there.

Bad input is one sentence on stderr and exit code 2.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pagelab import __version__

EPILOG = """\
example:
  pagelab lab                              copy the notebooks to ./pagelab-notebooks and open JupyterLab there
  pagelab run "alloc 0 x16; free @1" --pages 16
  pagelab capture my-capture               write down this machine's free memory (with sudo: all of it)
  pagelab verify my-capture                hold it against the rules of the model
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: the words after `pagelab`; None for those of this process.

    Returns:
        The exit code: 0 for right, 1 for wrong, 2 for input that cannot be used.

    Raises:
        SystemExit: after --help and --version, and for words that are not understood.

    >>> main(["verify", "pagelab-no-such-capture", "--json"])
    [{"capture": "pagelab-no-such-capture", "error": "pagelab-no-such-capture: there is no such file or folder; \
expected a folder, a .zip or a .tar.gz"}]
    2
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal cannot show is no reason to stop.
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    words = list(sys.argv[1:] if argv is None else argv)
    args, args_for_lab = parser.parse_known_args(words)
    if args_for_lab and words[0] != "lab":
        parser.error(f"unrecognized arguments: {' '.join(args_for_lab)}")
    args.rest = args_for_lab
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `pagelab verify x | head`; the interpreter must not write to it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except ValueError as error:
        print(f"pagelab {args.command}: {error}", file=sys.stderr)
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pagelab",
        description="A laboratory for Linux physical memory.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pagelab {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    verify = commands.add_parser("verify", help="hold captures of real kernels against the rules of the model")
    verify.add_argument("captures", metavar="CAPTURE", nargs="+", help="a folder, a .zip or a .tar.gz")
    verify.add_argument("--json", action="store_true", help="print one JSON array, an element for each capture")
    verify.set_defaults(run=_verify)

    capture = commands.add_parser("capture", help="make a capture of this machine")
    capture.add_argument("directory", metavar="DIR", help="a new or empty folder")
    capture.set_defaults(run=_capture)

    run = commands.add_parser("run", help="run requests on a small zone and tell each step in words")
    run.add_argument("requests", metavar="REQUESTS", help='such as "alloc 0 x16; free @1"')
    run.add_argument("--pages", default="16", help='pages of the zone, or a size such as "4 MiB" (16)')
    run.set_defaults(run=_run)

    lab = commands.add_parser("lab", help="open the notebooks in JupyterLab; further options go to JupyterLab")
    lab.set_defaults(run=_lab)
    return parser


def _run(args: argparse.Namespace) -> int:
    from pagelab.lab.scenario import text
    from pagelab.view.words import run_text

    pages = int(args.pages) if args.pages.isascii() and args.pages.isdigit() else args.pages
    print(run_text(text(args.requests, pages)))
    return 0


def _lab(args: argparse.Namespace) -> int:
    from pagelab.course import open_lab

    open_lab(args.rest)
    return 0


def _verify(args: argparse.Namespace) -> int:
    from pagelab.real.capture import CaptureError, open_capture
    from pagelab.real.verify import Report, exit_code, verify

    results: list[Report | CaptureError] = []
    elements = []
    for path in args.captures:
        try:
            report = verify(open_capture(path))
        except CaptureError as error:
            results.append(error)
            elements.append({"capture": Path(path).absolute().name, "error": str(error)})
            if not args.json:
                # What is wrong with the capture as a whole begins with its path, what is wrong inside with a file.
                place = "" if str(error).startswith(str(Path(path))) else f"{path}: "
                print(f"pagelab verify: {place}{error}", file=sys.stderr)
        else:
            results.append(report)
            elements.append(report.as_json())
            if not args.json:
                print(report.as_text())
    if args.json:
        print(json.dumps(elements))
    return exit_code(results)


def _capture(args: argparse.Namespace) -> int:
    from pagelab.real.capture import write_capture

    written = write_capture(args.directory)
    print(written.as_text())
    return 0 if written.files else 2
