"""``cyclorama``: reads the settings once, builds the parts, runs them.

Exit codes: 0 done, 1 something failed or needs a person, 2 wrong usage or configuration.
Heavy parts are imported where they are used, so that ``--help`` and ``status`` answer at once.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import threading
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from worker.booth_cli import booth
from worker.cli_options import Inbox, Json, Outbox
from worker.corrections_cli import corrections
from worker.errors import (
    BrokerError,
    CycloramaError,
    SettingsError,
)
from worker.logs import configure_logging
from worker.models_cli import models_app
from worker.presets_cli import presets

if TYPE_CHECKING:
    from worker.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        out.print(f"cyclorama {installed('cyclorama')}", highlight=False)
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", help="Tell the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Cuts out car shoots and sets them on your studio's backdrop."""


app.add_typer(models_app, name="models")
app.command()(presets)
app.command()(corrections)
app.command()(booth)
out, err = Console(), Console(stderr=True)

Preset = Annotated[str | None, typer.Option(help="Preset: a name or a .toml file.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Shoots = Annotated[list[str], typer.Argument(help="Names of shoots in the inbox.")]


@app.command()
def run(
    once: Annotated[bool, typer.Option(help="Finish what is in the inbox, then exit.")] = False,
    inbox: Inbox = None,
    outbox: Outbox = None,
    preset: Preset = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
) -> None:
    """All in one: Redis, watcher and worker, with progress."""
    settings = _settings(inbox=inbox, outbox=outbox, preset=preset, device=device)
    _log(settings, quiet=True)
    from worker.progress import Reporter
    from worker.run import run_all

    if not once:
        source = settings.inbox_bucket or settings.inbox
        target = settings.outbox_bucket or settings.outbox
        err.print(f"watching {source}, finished shoots go to {target}; Ctrl-C ends")
    raise typer.Exit(run_all(settings, once=once, workers=workers, reporter=Reporter(err)))


@app.command()
def watch(inbox: Inbox = None, outbox: Outbox = None, preset: Preset = None) -> None:
    """The watcher alone; queues shoots on the shared Redis."""
    settings = _settings(inbox=inbox, outbox=outbox, preset=preset)
    _log(settings)
    from worker.run import watch_only

    watch_only(_shared(settings))


@app.command()
def worker(
    inbox: Inbox = None,
    outbox: Outbox = None,
    preset: Preset = None,
    device: Device = None,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """A worker alone; takes shoots from the shared Redis."""
    if until_stdin_closes:
        _end_with_parent()
    settings = _settings(inbox=inbox, outbox=outbox, preset=preset, device=device)
    _log(settings)
    url = _shared(settings).broker_url
    from worker.line.service import run_worker

    raise typer.Exit(run_worker(settings, url))


@app.command()
def courier(
    inbox: Inbox = None,
    outbox: Outbox = None,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """The courier alone: carries files between buckets and this machine; once a studio."""
    if until_stdin_closes:
        _end_with_parent()
    settings = _settings(inbox=inbox, outbox=outbox)
    _log(settings)
    from worker.courier.rounds import Courier
    from worker.run import stop_on_signals

    stop = stop_on_signals()
    Courier(settings).run(stop)


@app.command()
def schedule(until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False) -> None:
    """The scheduler alone: retrains at night, once, however many run."""
    if until_stdin_closes:
        _end_with_parent()
    settings = _settings()
    _log(settings)
    from worker.night.schedule import run_schedule

    run_schedule(settings, _shared(settings).broker_url)


@app.command()
def submit(shoots: Shoots, inbox: Inbox = None, outbox: Outbox = None) -> None:
    """Queue shoots now, without waiting for more frames."""
    _queue(_settings(inbox=inbox, outbox=outbox), shoots, retry=False)


@app.command()
def retry(shoots: Shoots, inbox: Inbox = None, outbox: Outbox = None) -> None:
    """Queue shoots again, with the frames that failed."""
    _queue(_settings(inbox=inbox, outbox=outbox), shoots, retry=True)


@app.command()
def release(shoots: Shoots, inbox: Inbox = None, outbox: Outbox = None) -> None:
    """Publish shoots that are held, as they are."""
    from worker.outbox.places import Places
    from worker.outbox.publish import release as release_shoot
    from worker.reprocess import alone

    settings = _settings(inbox=inbox, outbox=outbox)
    for shoot in shoots:
        with alone(settings, shoot):
            folder = release_shoot(Places(settings.inbox, settings.outbox), shoot)
        out.print(str(folder), markup=False, highlight=False, soft_wrap=True)


@app.command()
def reprocess(
    shoots: Annotated[list[str] | None, typer.Argument(help="Finished shoots.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All finished shoots.")] = False,
    preset: Preset = None,
    inbox: Inbox = None,
    outbox: Outbox = None,
) -> None:
    """Make new pictures from stored masks and originals, without the network."""
    from redis.exceptions import RedisError
    from rich.progress import Progress

    from worker.finish.presets import load_preset
    from worker.outbox.places import Places
    from worker.reprocess import finished
    from worker.reprocess import reprocess as reprocess_shoot

    if shoots and everything:
        raise SettingsError("shoots are named and --all is given", cure="Use one, not both")
    if not shoots and not everything:
        raise SettingsError("no shoot is named", cure="Name one or more, or use --all")
    settings = _settings(inbox=inbox, outbox=outbox)
    names = finished(Places(settings.inbox, settings.outbox), shoots or [])
    if preset:
        load_preset(preset, folders=[settings.presets])  # else each shoot would say it
    failed = False
    with Progress(console=err, disable=not err.is_terminal, transient=True) as bar:
        for name in names:
            task = bar.add_task(name)
            try:
                folder = reprocess_shoot(
                    settings,
                    name,
                    preset,
                    on_frame=lambda done, total: bar.update(task, completed=done, total=total),  # noqa: B023
                )
                out.print(str(folder), markup=False, highlight=False, soft_wrap=True)
            except (CycloramaError, RedisError, OSError) as error:
                failed = True
                err.print(f"error: {name}: {error}", markup=False, highlight=False, soft_wrap=True)
            bar.remove_task(task)
    raise typer.Exit(1 if failed else 0)


@app.command()
def status(
    inbox: Inbox = None,
    outbox: Outbox = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again.")] = False,
) -> None:
    """Where each shoot stands, and what needs a person.

    Exit code 1: a shoot failed, is incomplete or held; something cannot be
    taken up or carried; the booth has changed; or a worker has trouble.
    Flags alone leave it at 0.
    """
    from worker.status import follow, gather, show

    settings = _settings(inbox=inbox, outbox=outbox)
    if watch:
        follow(settings, out, as_json=as_json)
        return
    found = gather(settings)
    if as_json:
        _print_json(found.as_json())
    else:
        show(found, out)
    raise typer.Exit(1 if found.needs_a_person else 0)


@app.command()
def health(
    alive: Annotated[bool, typer.Option(help="Ask only whether they get on with work.")] = False,
    as_json: Json = False,
) -> None:
    """For probes: can the workers of this machine work (exit code 0), or not (1)?"""
    from worker.queue.health import healths

    found = healths(_settings().state)
    if as_json:
        _print_json([vars(each) for each in found])
    for each in [] if as_json else found:
        state = "ready" if each.ready else "alive" if each.alive else "not alive"
        line = f"{each.worker}: {state}" + (f", but {each.trouble}" if each.trouble else "")
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    good = all(each.alive if alive else each.ready and each.alive for each in found)
    if not found:
        err.print("no worker runs on this machine with this state folder")
    raise typer.Exit(0 if found and good else 1)


@app.command()
def doctor(
    inbox: Inbox = None, outbox: Outbox = None, device: Device = None, as_json: Json = False
) -> None:
    """Is this machine ready? What is right, what is wrong, what to do (exit code 2)."""
    from worker.doctor import examine

    settings = _settings(inbox=inbox, outbox=outbox, device=device)
    findings = []
    for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            mark = "[green]✓[/]" if finding.good else "[red]✗[/]"
            out.print(
                f"{mark} {finding.what}: {escape(finding.detail)}", highlight=False, soft_wrap=True
            )
    if as_json:
        _print_json([vars(finding) for finding in findings])
    raise typer.Exit(0 if all(finding.good for finding in findings) else 2)


def _settings(**overrides: Any) -> Settings:
    from worker.courier.word import prepare_copies
    from worker.settings import read_settings

    settings = read_settings(**overrides)
    prepare_copies(settings)
    gc.enable()
    return settings


def _queue(settings: Settings, shoots: list[str], *, retry: bool) -> None:
    from worker.submit import submit as submit_shoots

    try:
        for line in submit_shoots(settings, shoots, retry=retry):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    except BrokerError as error:
        if settings.broker_url:
            raise
        raise BrokerError(
            f"cyclorama is not running here with the state folder {settings.state.resolve()}",
            cure="Start it with the same state folder: cyclorama run",
        ) from error


def _end_with_parent() -> None:
    """Ends this process, in good order, when the one that started it is gone, however it went."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock would abort the interpreter at exit
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _shared(settings: Settings) -> Settings:
    if not settings.broker_url:
        raise SettingsError(
            "this command needs a shared Redis",
            cure="Set CYCLORAMA_BROKER_URL (redis://host:6379/0), or use: cyclorama run",
        )
    return settings


def _log(settings: Settings, *, quiet: bool = False) -> None:
    configure_logging(form=settings.log, level=logging.ERROR if quiet else logging.INFO)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def main() -> None:
    """Entry point: an error of ours is one line on standard error and exit code 2."""
    gc.disable()  # until the settings are read: what is imported is no garbage, and `status` waits
    try:
        app()
    except CycloramaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
