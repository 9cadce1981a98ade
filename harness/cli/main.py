"""The command ``harness``: finds the verb, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

from harness._version import __version__
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

_INTERRUPTED = 130
_DEFECT = 1
# A verb is a module of this room with a function of its name, but for one whose name is taken.
_FUNCTIONS = {"list": "list_things"}

_EPILOG = """\
examples:
  harness run experiment=demo                         the demo benchmark, no key and no model hub needed
  harness run experiment=demo --dry-run               what it would do, in calls and tokens
  harness run subject=sae subject.sae.model.path=M subject.sae.source=FOLDER features.n=32
  harness list scorers                                what is installed
  harness show scorer detection                       what it measures, its parameters, its chance level
  harness features demo_sae                           what a corpus shows of its features
  harness doctor judge=local                          what that judge can do, and how fast it is
  harness leaderboard show                            all finished runs, grouped by protocol

exit codes: 0 success, 1 failure, 2 a mistake in the command or configuration, 3 some of a run failed
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or os.environ.get("HARNESS_DEBUG", "0") not in {"", "0"}
    try:
        code = _dispatch([argument for argument in arguments if argument != "--debug"])
        sys.stdout.flush()
    except HarnessError as error:
        code = _say_error(str(error), error.exit_code, debug=debug)
    except KeyboardInterrupt:
        code = _say_error(
            "interrupted; run the same command again to go on where it stopped", _INTERRUPTED, debug=False
        )
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _DEFECT
    sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:
        from harness.cli.run import run

        return run(arguments[1:])
    parsed = build_parser().parse_args(arguments)
    function: Callable[[argparse.Namespace], int] = getattr(
        import_module(f"harness.cli.{parsed.verb}"), _FUNCTIONS.get(parsed.verb, parsed.verb)
    )
    return function(parsed)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every verb but ``run``, whose arguments are Hydra's."""
    parser = argparse.ArgumentParser(
        prog="harness",
        description="How good is this explanation of this feature, and how sure are we?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"autointerp-harness {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("run", help="explain, score, and write records and a leaderboard", add_help=False)
    _add_list(verbs)
    _add_show(verbs)
    _add_cache(verbs)
    _add_leaderboard(verbs)
    _add_doctor(verbs)
    _add_features(verbs)
    return parser


def _add_list(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from harness.cli.kinds import LISTABLE

    parser = verbs.add_parser("list", help="list what is registered, and what is broken")
    parser.add_argument("what", choices=LISTABLE, metavar="KIND", help=", ".join(LISTABLE))
    _add_json(parser)
    _add_disable(parser)


def _add_show(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from harness.cli.kinds import SHOWABLE

    parser = verbs.add_parser("show", help="show one registered thing: parameters, metrics, needs, citation, origin")
    parser.add_argument("kind", choices=SHOWABLE, metavar="KIND", help=", ".join(SHOWABLE))
    parser.add_argument("name", metavar="NAME", help="as `harness list` names it")
    _add_json(parser)
    _add_disable(parser)


def _add_cache(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("cache", help="what the cache holds, and clearing it")
    parser.add_argument("action", choices=("info", "prune"), help="list what is there, or remove it")
    parser.add_argument("--kind", action="append", metavar="KIND", help="only this kind (may be repeated)")
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="prune: only what was not used for DAYS days")
    parser.add_argument("--model", metavar="NAME", help="prune --kind llm: only this model's answers")
    parser.add_argument(
        "--max-size", type=float, metavar="MIB", help="prune --kind llm: only the least recently used beyond MIB"
    )
    parser.add_argument("--dry-run", action="store_true", help="prune: say what would be removed, remove nothing")
    parser.add_argument("--cache", metavar="FOLDER", help="the cache folder, if not the usual one")
    _add_json(parser)


def _add_leaderboard(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "leaderboard", help="build the leaderboard from all finished runs, show it, compare scorers"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="write it from all finished runs")
    show = actions.add_parser("show", help="print it")
    scorers = actions.add_parser("scorers", help="rank scorers by planted explanations")
    agreement = actions.add_parser(
        "agreement",
        help="how far scorers agree on the features they share",
        description="Spearman and Pearson correlations of every pair of scorers over the features for which both have "
        "a value of the same explanation, with 95% intervals, and the features on which they differ most. Runs must be "
        "on the same corpus, examples, seed and subjects.",
    )
    profile = actions.add_parser(
        "profile",
        help="what explanations say of inputs beside what they say of outputs",
        description="Every scorer on the axis it declares, input or output fidelity, corrected for chance, with "
        "median, quartiles and coverage; and for every pair across the axes how many features are good by both, one or "
        "neither. Nothing is averaged over scorers. Runs must be on the same corpus, examples, seed and subjects.",
    )
    profile.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="a feature is good from this share of the way from chance to the best (default: 0.5)",
    )
    for action in (build, show, scorers, agreement, profile):
        action.add_argument("--results", default="results", metavar="FOLDER", help="results folder (default: results)")
    scorers.add_argument("runs", nargs="*", metavar="RUN", help="folder of a run (default: all finished ones)")
    for action in (show, scorers):
        action.add_argument("--format", choices=("text", "md", "json"), default="text", help="how (default: text)")
        action.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")
    for action in (agreement, profile):
        action.add_argument(
            "runs", nargs="*", metavar="RUN", help="folder of a run, or its name in the results folder (default: all)"
        )
        action.add_argument(
            "--set", action="append", default=[], metavar="NAME", help="only this explanation set; may be repeated"
        )
        _add_json(action)
    agreement.add_argument(
        "--scorers", action="append", default=[], metavar="NAME,...", help="only these scorers, in this order"
    )


def _add_doctor(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "doctor",
        help="what is installed here, and what an explainer's or judge's endpoint can do",
        description="Without arguments: versions, cache, keys by name, broken plugins, GPU. With those of `harness "
        "run`: what the endpoint of each role they name can do and how fast it is, found out with about thirty tiny "
        "calls.",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="GROUP=OPTION|KEY=VALUE", help="as for `harness run`: judge=local explainer=cot"
    )
    _add_json(parser)
    _add_disable(parser)


def _add_features(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "features",
        help="what a corpus shows of a subject's features, before anything is explained",
        description="Density, largest value, tokens and places of every feature on the corpus, and what flags it: "
        "dead, dense, single_token, prior_token, positional, unigram, sampled. The overrides are those of "
        "`harness run`: with features=... only those features are looked at, and "
        "features.where='density > 1e-4 and not prior_token' chooses among them.",
    )
    parser.add_argument(
        "overrides",
        nargs="+",
        metavar="SUBJECT|GROUP=OPTION|KEY=VALUE",
        help="a subject by its name, and overrides as for `harness run`: demo_sae corpus=demo",
    )
    parser.add_argument("--sort", default="density", metavar="FACT", help="largest first (default: density)")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="rows shown, 0 for all (default: 20)")
    parser.add_argument("--neighbours", type=int, default=0, metavar="K", help="also the K nearest features of each")
    parser.add_argument(
        "--logits", type=int, default=0, metavar="K", help="also the K tokens each promotes most, and suppresses most"
    )
    parser.add_argument(
        "--scrambled",
        type=int,
        default=0,
        metavar="N",
        help="also what is left of N activations of each when the words before them are scrambled",
    )
    _add_json(parser)
    _add_disable(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def _add_disable(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p",
        action="append",
        default=[],
        dest="plugins",
        metavar="no:NAME",
        help="leave a plugin out (may be repeated)",
    )


def _say_error(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"harness: error: {message}\n")
    return code


if __name__ == "__main__":
    main()
