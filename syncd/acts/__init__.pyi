from .act_context import ActContext as ActContext
from .forgetting import explained as explained
from .pass_outcome import pass_outcome as pass_outcome
from .perform import perform as perform
from .verifying import show_report as show_report
