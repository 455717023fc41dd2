"""What a deployment would do, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.stacks import ChangeSet
from deploy.upload import Upload

_COLOURS = {"Add": "green", "Modify": "yellow", "Remove": "red"}
#: Files that are named one by one; of more only the number.
_FEW = 12


@dataclass(frozen=True)
class Plan:
    """What would be done.

    :param change_sets: of the stacks, in their order.
    :param upload: files that would be uploaded, and removed.
    :param notes: what else.
    """

    change_sets: tuple[ChangeSet, ...]
    upload: Upload
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (any(proposed.changes for proposed in self.change_sets) or self.upload.changes or self.notes)


def show_plan(console: Console, plan: Plan) -> None:
    """Print a plan.

    :param console: what people see.
    :param plan: what would be done.
    """
    for proposed in plan.change_sets:
        if not proposed.changes:
            console.print(f"[bold]{proposed.stack}[/]: nothing to change")
            continue
        console.print(_table(proposed))
    _show_upload(console, plan.upload)
    for note in plan.notes:
        console.print(escape(note))


def _table(proposed: ChangeSet) -> Table:
    title = f"{proposed.stack}{' (new)' if proposed.new else ''}: {_counted(proposed)}"
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("action", no_wrap=True)
    table.add_column("resource", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("replacement")
    for change in proposed.changes:
        colour = _COLOURS.get(change.action, "cyan")
        table.add_row(
            f"[{colour}]{change.action}[/]",
            change.resource,
            change.kind,
            _replacement(change.replacement, change.action),
        )
    return table


def _counted(proposed: ChangeSet) -> str:
    actions = [change.action for change in proposed.changes]
    return ", ".join(f"{actions.count(action)} to {action.lower()}" for action in dict.fromkeys(actions))


def _replacement(said: str, action: str) -> str:
    if action != "Modify" or not said or said == "False":
        return ""
    return "[bold red]made anew[/]" if said == "True" else "[yellow]perhaps made anew[/]"


def _show_upload(console: Console, upload: Upload) -> None:
    if not upload.changes:
        console.print(f"[bold]s3://{upload.bucket}[/]: nothing to upload ({upload.unchanged} files are there)")
        return
    console.print(
        f"[bold]s3://{upload.bucket}[/]: {len(upload.put)} files to upload, {len(upload.remove)} to remove, "
        f"{upload.unchanged} as they are"
    )
    _list(console, "[green]upload[/]", upload.put)
    _list(console, "[red]remove[/]", upload.remove)


def _list(console: Console, what: str, keys: Iterable[str]) -> None:
    chosen = sorted(keys, key=lambda key: ("/" in key, key))
    for key in chosen[:_FEW]:
        console.print(f"  {what} {escape(key)}")
    if len(chosen) > _FEW:
        console.print(f"  {what} … and {len(chosen) - _FEW} more")
