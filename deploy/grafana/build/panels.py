"""Panels, variables and links in the one style of all dashboards; every panel says what it shows and how to read it."""

from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    common as common_builders,
    dashboard as builders,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common, dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "syncd"
HERE = 'instance=~"$instance"'
MIRROR = f'{HERE}, mirror=~"$mirror"'
ORIGIN = f'{HERE}, origin=~"$origin"'
RATE = "[$__rate_interval]"

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"
STATES = (
    ("idle", GREEN),
    ("running", BLUE),
    ("waiting", "light-blue"),
    ("paused", "purple"),
    ("failing", "orange"),
    ("nothing_found", "dark-orange"),
    ("offline", RED),
    ("rejected", "dark-red"),
    ("retired", GREY),
)


@dataclass(frozen=True, slots=True)
class Query:
    """One query and the name of its series."""

    expr: str
    legend: str = ""


Steps = tuple[tuple[float | None, str], ...]


def steps(*bounds: tuple[float | None, str]) -> builders.ThresholdsConfig:
    """Return thresholds: a colour from each bound on."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in bounds])
    )


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).datasource(SOURCE)


def _dressed(panel: Any, title: str, says: str, unit: str, queries: tuple[Query, ...], *, instant: bool) -> Any:
    panel.title(title).description(says).unit(unit).datasource(SOURCE)
    for number, query in enumerate(queries):
        target = _target(query, chr(ord("A") + number))
        panel.with_target(target.instant() if instant else target.range())
    return panel


def number(
    title: str,
    says: str,
    unit: str,
    *queries: Query,
    bounds: Steps = ((None, GREEN),),
    span: int = 4,
    curve: bool = True,
    decimals: int | None = None,
    words: bool = False,
) -> stat.Panel:
    """Return one number that is green, yellow or red; with `words`, the series' name instead of it."""
    panel: stat.Panel = _dressed(stat.Panel(), title, says, unit, queries, instant=not curve)
    panel.thresholds(steps(*bounds)).span(span).height(4)
    panel.color_mode(common.BigValueColorMode.BACKGROUND if len(bounds) > 1 else common.BigValueColorMode.VALUE)
    panel.graph_mode(common.BigValueGraphMode.AREA if curve else common.BigValueGraphMode.NONE)
    panel.text_mode(common.BigValueTextMode.NAME if words else common.BigValueTextMode.VALUE)
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel if decimals is None else panel.decimals(decimals)


def curves(
    title: str,
    says: str,
    unit: str,
    *queries: Query,
    stacked: bool = False,
    bounds: Steps | None = None,
    span: int = 12,
    height: int = 8,
    top: float | None = None,
) -> timeseries.Panel:
    """Return curves over time, with last and largest value in the legend."""
    panel: timeseries.Panel = _dressed(timeseries.Panel(), title, says, unit, queries, instant=False)
    panel.span(span).height(height).min(0).line_width(1).fill_opacity(40 if stacked else 8)
    panel.show_points(common.VisibilityMode.NEVER)
    panel.tooltip(
        common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    panel.legend(
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
        .calcs(["lastNotNull", "max"])
        .sort_by("Last *")
        .sort_desc(sort_desc=True)
    )
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if bounds is not None:
        panel.thresholds(steps(*bounds))
        panel.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    return panel if top is None else panel.max(top)


def bands(title: str, says: str, query: Query, *, span: int = 24, height: int = 8) -> statetimeline.Panel:
    """Return a band for each mirror that shows its states over time."""
    panel: statetimeline.Panel = _dressed(statetimeline.Panel(), title, says, "none", (query,), instant=False)
    panel.mappings([state_mapping()]).show_value(common.VisibilityMode.AUTO).merge_values(merge_values=True)
    return panel.span(span).height(height).fill_opacity(70).line_width(0)


def state_mapping() -> models.ValueMap:
    """Return how the number of a state is shown; the numbers are those of `state_number`."""
    return models.ValueMap(
        options={
            str(index): models.ValueMappingResult(text=state, color=color, index=index)
            for index, (state, color) in enumerate(STATES)
        }
    )


def state_number(match: str) -> str:
    """Return a query that gives each mirror the number of its state."""
    parts = [
        f'{index} * syncd_mirror_state{{{match}, state="{state}"}}' for index, (state, _) in enumerate(STATES) if index
    ]
    rest = " + ignoring(state) ".join(parts)
    return f"sum by (mirror) ({rest})"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: what it is called, its query, its unit, and from which value on it has which colour."""

    name: str
    expr: str
    unit: str = "short"
    bounds: Steps | None = None
    states: bool = False
    width: int | None = None


def rows(title: str, says: str, by: str, *columns: Column, worst: str, link: str = "", height: int = 10) -> table.Panel:
    """Return a table with a row for each value of the label `by`, the `worst` first; its name leads to `link`."""
    panel = table.Panel().title(title).description(says).datasource(SOURCE).span(24).height(height)
    panel.sort_by([common_builders.TableSortByFieldState().display_name(worst).desc(desc=True)])
    panel.filterable(filterable=True).cell_height(common.TableCellHeight.SM)
    for index, column in enumerate(columns):
        target = _target(Query(f"sum by ({by}) ({column.expr})"), chr(ord("A") + index))
        panel.with_target(target.instant().format(PromQueryFormat.TABLE))
    names = {f"Value #{chr(ord('A') + index)}": column.name for index, column in enumerate(columns)}
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {by: 0, **{name: index + 1 for index, name in enumerate(names)}},
                "renameByName": names,
            },
        )
    )
    for column in columns:
        panel.override_by_name(column.name, _properties(column))
    if link:
        shown = {"title": "Open ${__value.raw}", "url": link, "targetBlank": False}
        panel.override_by_name(by, [models.DynamicConfigValue(id_val="links", value=[shown])])
    return panel


def _properties(column: Column) -> list[models.DynamicConfigValue]:
    found = [models.DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.states:
        found.append(models.DynamicConfigValue(id_val="mappings", value=[state_mapping()]))
        found.append(models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
    if column.bounds is not None:
        found.append(models.DynamicConfigValue(id_val="thresholds", value=steps(*column.bounds).build()))
        found.append(models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background"}))
    if column.width is not None:
        found.append(models.DynamicConfigValue(id_val="custom.width", value=column.width))
    return found


# -- whole dashboards -------------------------------------------------------------------------------------------------


def dashboard(uid: str, title: str, says: str, *, since: str = "now-24h") -> builders.Dashboard:
    """Return an empty dashboard with the variables, links and annotations that all have."""
    return (
        builders.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags([TAG])
        .refresh("30s")
        .time(since, "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(chosen("instance", "Daemon", "label_values(syncd_build_info, instance)"))
        .link(
            builders.DashboardLink("syncd")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .annotation(
            builders.AnnotationQuery()
            .name("Alerts")
            .datasource(SOURCE)
            .enable(enable=True)
            .icon_color(RED)
            .expr('ALERTS{alertname=~"Syncd.*", alertstate="firing"}')
        )
    )


def chosen(name: str, label: str, query: str, *, everything: bool = True) -> builders.QueryVariable:
    """Return a variable whose values Prometheus knows."""
    variable = (
        builders.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": f"{name}-values"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if not everything:
        return variable
    return variable.multi(multi=True).include_all(include_all=True).all_value(".*")
