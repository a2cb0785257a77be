from .agents import KINDS as KINDS, OTHERS as OTHERS, agent_of as agent_of
from .csv_report import report_csv as report_csv
from .day_key import destroy_old_key as destroy_old_key
from .hours import read_hours as read_hours
from .period import Period as Period, read_period as read_period
from .recorder import UsageRecorder as UsageRecorder, day_of as day_of, recording as recording
from .report import (
    read_counts as read_counts,
    read_report as read_report,
    read_totals as read_totals,
    usage_report as usage_report,
)
